"""The monitoring dataflow: counts facts, and looks at how far everybody is."""
