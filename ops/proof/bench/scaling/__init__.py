"""The cost laws: what a command costs as sections, events, pending holds and the log grow."""
