"""The `circle` command, and what it runs: the platform, operators' tools, questions to the log, proofs."""
