"""Mail: rows of due mails in PostgreSQL, the text, the mail server, and the desk that combines them."""
