"""Sinks of dataflows: Kafka transactions, batches of rows, dead letters, the postman. They know no ticket."""
