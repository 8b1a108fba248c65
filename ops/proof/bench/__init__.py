"""Benches: the platform's throughput and its CPU cost by process. Figures, not promises."""
