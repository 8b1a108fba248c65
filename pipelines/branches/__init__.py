"""Branches of the read side: what a branch is, its positions, and the one transaction that writes all of them."""
