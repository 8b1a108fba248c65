"""The monitoring dataflow: counts facts, and measures the lag of every flow."""
