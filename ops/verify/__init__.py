"""Verifies that facts, rows and Redis are what the log's commands give: decides the log again, and compares."""
