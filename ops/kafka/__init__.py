"""Apache Kafka's pinned pom and its log configuration."""
