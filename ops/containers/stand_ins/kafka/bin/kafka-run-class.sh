#!/bin/bash
# Runs a class of the broker or of its tools.
read -ra options <<< "${KAFKA_HEAP_OPTS:--Xmx256M} ${KAFKA_OPTS:-} ${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=/etc/kafka/docker/tools-log4j2.yaml}"
exec java "${options[@]}" -XX:+UseSerialGC -XX:-UsePerfData -cp '/opt/kafka/libs/*' "$@"
