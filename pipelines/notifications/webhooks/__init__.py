"""Webhooks: which endpoints a fact is for, as rows that are due; the signature; and the desk that makes the calls."""
