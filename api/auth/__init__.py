"""Identifies the caller: keys, access tokens, passwords, refresh tokens. Identity comes from the token only."""
