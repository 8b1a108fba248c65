"""Documents of a ticket: a QR code, a calendar entry, a page to print. Rows in, bytes out."""
