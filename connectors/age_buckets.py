"""The bounds by which the ages of records are counted."""

# Around the goals: a p99 of 75 ms to the outcome, 30 s at most that a client waits. Mails may take hours.
AGE_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 3_600.0)
