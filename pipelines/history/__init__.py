"""What a log can be asked: fold, states, verification, explanation, seats at a moment, receipts. Pure."""
