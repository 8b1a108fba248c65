"""What operators see of a running platform: its records, its groups, one request. The terminal and pages show it."""
