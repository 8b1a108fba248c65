"""Reads the log again: verify, explain, time travel, what-if, export, import. The pure part is `pipelines/replay`."""
