"""Facts that ask for money to the payment provider, and what it says back to the log as commands."""
