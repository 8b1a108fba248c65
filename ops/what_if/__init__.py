"""Decides a drop again under other rules, and compares it with the recorded drop. Writes nothing."""
