"""The `circle` command and everything that it runs: the platform, operators' tools, questions to the log, proofs."""
