"""Clients of what is outside: Kafka, PostgreSQL, Redis, HTTP; settings, logs and errors. They know no ticket."""
