"""The handlers' reads: rows, the past of the log, seat maps, and what each caller may see of them."""
