"""A progress display whose reader presses Ctrl-C at some step: for tools that can be stopped and started again."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from ops.progress import Bar, ProgressBars

Found = TypeVar("Found")


class Impatient(ProgressBars):
    """A reader who presses Ctrl-C at some batch."""

    def __init__(self, batches: int) -> None:
        super().__init__(quiet=True)
        self._left = batches

    def bar(self, name: str, total: int) -> Bar:
        whole, told = super().bar(name, total), self

        class Watched(Bar):
            def set(self, done: int, note: str = "") -> None:
                told._left -= 1
                if told._left < 0:
                    raise KeyboardInterrupt
                whole.set(done, note)

        return Watched(whole._progress, whole._task)


def stopped_at_random(
    run: Callable[[ProgressBars], Found],
    *,
    seed: int = 5,
    batches: tuple[int, int] = (1, 9),
    then: Callable[[], None] | None = None,
) -> tuple[Found, int]:
    """The tool's result, and the number of stops: it is stopped after some batches and started again, until it
    completes."""
    chance, stops = random.Random(seed), 0
    while True:
        try:
            return run(Impatient(chance.randrange(*batches))), stops
        except KeyboardInterrupt:
            stops += 1
            if then is not None:
                then()
