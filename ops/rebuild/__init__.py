"""Rebuilds rows and Redis from the log, compares them with the live ones, and replaces these."""
