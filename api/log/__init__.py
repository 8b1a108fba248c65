"""From a request to the log and back: commands written, outcomes awaited, reads that include one's own writes."""
