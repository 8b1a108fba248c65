"""Benches: what the platform does a second and what it costs, by process. Figures, not promises."""
