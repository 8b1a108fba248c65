"""A log in files: export, import, and a recorded drop played again."""
