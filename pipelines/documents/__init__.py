"""What a ticket looks like outside of this API: a QR code, a calendar entry, a page to print. Rows in, bytes out."""
