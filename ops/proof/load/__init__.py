"""Load from outside: an HTTP client cheap enough not to be what is measured, accounts, an organizer, figures."""
