"""This program over a log that another one decided: what would differ. Touches nothing live."""
