"""The services the platform needs, started from wheels (or, for Apache Kafka, from Maven's jars) and owned
by us."""
