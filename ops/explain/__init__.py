"""Explains a reservation's result, and shows an earlier seat map: one event's history, read from the log."""
