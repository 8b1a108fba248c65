"""A package, so that pytest ends the fixtures of conftest.py after its last test, not at the end of the run."""
