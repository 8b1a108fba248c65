"""Mail: what is due, as a row in PostgreSQL; the text; the server; and the desk that puts them together."""
