"""Proofs from outside: the history checker, the demo, the benches and their load."""
