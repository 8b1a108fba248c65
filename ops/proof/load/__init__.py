"""Load from outside: a cheap HTTP client (so that it does not measure itself), accounts, an organizer, figures."""
