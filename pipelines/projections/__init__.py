"""Facts to rows: `project` (pure) and its dataflow into Postgres."""
