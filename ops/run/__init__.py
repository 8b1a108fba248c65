"""Runs the platform on this machine: supervisor, embedded services, and how tools find them."""
