"""What an operator does to a running platform: foreign seat locks, dead letters."""
