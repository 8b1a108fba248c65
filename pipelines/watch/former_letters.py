"""Reads letters of payments that were written before payments named itself on them, until 2026-11-30. Pure.

Guarantee: this module alone takes the error of a letter apart, and only where the letter names no flow.
"""

from __future__ import annotations

_ERRORS_OF_PAYMENTS = ("payment provider:", "payments:")  # at the beginning


def is_of_payments(error: str) -> bool:
    """Whether payments has written the error of a letter that names no flow."""
    return error.startswith(_ERRORS_OF_PAYMENTS)
