"""The platform's services as child processes, from wheels; Apache Kafka comes from Maven's jars."""
