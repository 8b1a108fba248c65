"""What each fact changes, one module for each subject; `pipelines.reservations.core.evolve` has them together."""
