"""Kafka's own console consumer on the JVM, stock: it shows a topic's records, decoded through a schema registry."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from ops.run.services import kafka_jars

POM = Path(__file__).parents[1] / "kafka" / "console.xml"
TIMEOUT_S = 120
PROPERTIES = (
    "print.key=true",
    "print.value=true",
    "key.separator=\t",
    "value.deserializer=io.apicurio.registry.serde.avro.AvroKafkaDeserializer",
    "value.deserializer.apicurio.registry.as-confluent=true",
    "value.deserializer.apicurio.registry.use-id=contentId",
    "value.deserializer.apicurio.registry.headers.enabled=false",
)


def shown(*, brokers: str, registry: str, topic: str, records: int) -> list[tuple[str, dict[str, Any]]]:
    """The key and the fields of that many records from the topic's beginning, as the console prints them.

    `registry` is the URL of Apicurio's own API. Raises CalledProcessError with what the console says.
    """
    jars = kafka_jars.fetched(POM, "kafka/console", "copy-dependencies")
    options = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xmx256m"]
    command = [kafka_jars.java(), *options, "-cp", f"{jars}/*", "org.apache.kafka.tools.consumer.ConsoleConsumer"]
    command += ["--bootstrap-server", brokers, "--topic", topic, "--from-beginning", "--max-messages", str(records)]
    command += ["--timeout-ms", "60000", "--isolation-level", "read_committed"]
    for one in (*PROPERTIES, f"value.deserializer.apicurio.registry.url={registry}"):
        command += ["--property", one]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command[:1], done.stdout[-2_000:], done.stderr[-2_000:])
    lines = (line.partition("\t") for line in done.stdout.splitlines() if "\t" in line)
    return [(key, json.loads(value)) for key, _, value in lines]
