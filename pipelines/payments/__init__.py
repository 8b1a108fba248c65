"""Sends payment requests from facts to the payment provider, and its answers to the log as commands."""
