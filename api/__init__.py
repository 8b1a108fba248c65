"""Thin ingress: HTTP requests become commands on the log, rows become answers. Decides nothing about tickets."""
