"""The handlers, and the one table of routes. Who may call what is said in the table and nowhere else."""
