"""Webhooks: rows of due calls for a fact's endpoints, the signature, and the desk that makes the calls."""
