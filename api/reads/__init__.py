"""What handlers read: rows, the log's past, seat maps; and who may see it."""
