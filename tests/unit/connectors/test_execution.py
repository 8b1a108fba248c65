"""A dataflow ends with the error that caused it: our own one, below Bytewax's wrappers."""

from __future__ import annotations

from connectors.errors import Fenced
from connectors.execution import root_cause


def raised(error: BaseException, cause: BaseException | None) -> BaseException:
    error.__cause__ = cause
    return error


def test_the_cause_is_the_innermost_error() -> None:
    inner = ValueError("the disk is full")
    assert root_cause(raised(RuntimeError("wrapped"), raised(RuntimeError("again"), inner))) is inner


def test_the_cause_is_the_first_error_of_ours() -> None:
    fenced = Fenced("a newer owner has taken over")
    assert root_cause(raised(RuntimeError("wrapped"), raised(fenced, ValueError("the broker's")))) is fenced


def test_an_error_that_was_raised_from_itself_has_an_end() -> None:
    """A worker that searched this chain for its end never died, so no restart took its partitions over."""
    error = ValueError("transaction failed")
    assert root_cause(raised(RuntimeError("wrapped"), raised(error, error))) is error
