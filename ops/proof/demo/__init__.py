"""`circle demo`: a whole sold-out drop over HTTP against a fresh platform, checked from the outside."""
