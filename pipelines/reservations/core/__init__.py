"""The decision: state, rules, and what a fact changes. Pure: no clock, no I/O, no chance."""
