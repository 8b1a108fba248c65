"""The whole proof of a history: the checker's own books, and a second decision of every command to the same bytes."""

from __future__ import annotations

from functools import partial

from ops.proof.checker.check import check as check_books
from ops.proof.second_decision import SecondDecision

check = partial(check_books, again=SecondDecision)
"""`ops.proof.checker.check.check`, deciding again: its arguments, and its report."""
