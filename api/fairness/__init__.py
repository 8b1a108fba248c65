"""Bounds and fair shares: limits, pools, rates, and answers that requests share."""
