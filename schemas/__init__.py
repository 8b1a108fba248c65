"""The contract: record types, Avro schemas, the codec and the topics. Imports nothing of ours."""
