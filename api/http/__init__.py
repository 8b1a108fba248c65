"""The edge of HTTP: it reads the bytes of unknown clients before any route does, and completes every answer."""
