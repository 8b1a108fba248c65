"""The bench suite: scenarios of load on one shared base, their figures, and the comparison of two results."""
