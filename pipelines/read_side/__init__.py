"""The composer of the read side."""
