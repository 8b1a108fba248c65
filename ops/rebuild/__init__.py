"""Rows and Redis made again from the log, compared, and taken over."""
