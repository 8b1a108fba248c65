"""Clients of outside services (Kafka, PostgreSQL, Redis, HTTP), and settings, logs and errors. They know no ticket."""
