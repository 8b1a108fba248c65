"""Bounds and fair shares: limits, pools, rates, answers that many share."""
