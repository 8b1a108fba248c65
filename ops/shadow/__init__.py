"""Runs this program over a log that another program decided, and shows the differences. Changes nothing live."""
