"""A drop decided again under other rules, compared with what happened. Writes nothing."""
