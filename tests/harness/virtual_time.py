"""An event loop whose time is a number: where a real loop would sleep, its clock jumps to the next timer.

Hours pass in moments, and a run is the same each time. Only for coroutines without I/O.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumps(selectors.SelectSelector):
    """Never sleeps: the time that a loop would wait has passed at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "the coroutines wait for something that no timer brings"
        self.now += max(0.0, timeout)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, jumps: _Jumps) -> None:
        super().__init__(jumps)
        self._jumps = jumps

    def compute(self, seconds: float) -> None:
        self._jumps.now += seconds

    def time(self) -> float:
        return self._jumps.now


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that runs in virtual time, from 0.0 on."""
    with asyncio.Runner(loop_factory=lambda: _Loop(_Jumps())) as runner:
        return runner.run(coroutine)


def now() -> float:
    """The virtual time of the running loop."""
    return asyncio.get_running_loop().time()


def compute(seconds: float) -> None:
    """The running loop computes for so many seconds. Meanwhile it looks at nothing."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _Loop)
    loop.compute(seconds)
