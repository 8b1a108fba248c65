"""The edge of HTTP: what reads bytes from strangers before any route does, and what every answer carries."""
