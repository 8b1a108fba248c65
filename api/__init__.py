"""Thin ingress: HTTP to commands on the log, and what is projected back to HTTP. Decides nothing about tickets."""
