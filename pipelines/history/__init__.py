"""Reads the log's history: fold, states, verification, explanation, seats at a moment, receipts. Pure."""
