"""Runs the platform on this machine: the supervisor, the embedded services, and the file by which tools find them."""
