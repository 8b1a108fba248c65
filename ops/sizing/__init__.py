"""Computes what a load needs from measured costs: processes, cores, partitions, brokers, databases."""
