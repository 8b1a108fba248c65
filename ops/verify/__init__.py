"""Is what we have what happened? Decides the log again and compares it with facts, rows and Redis."""
