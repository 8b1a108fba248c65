"""What the log is good for afterwards: verify, explain, time travel, what-if. Pure; `ops/replay` reads and writes."""
