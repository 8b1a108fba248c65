"""From a request to the log and back: write commands, await outcomes, and let users read their own writes."""
