"""Progress bars on standard error, so that a report on standard output stays clean; silent without a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress


class Bar:
    """One line of progress."""

    def __init__(self, progress: RichProgress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def set(self, done: int, note: str = "") -> None:
        """So far."""
        self._progress.update(self._task, completed=done, note=note)

    def of(self, total: int) -> None:
        """The total, once it is known."""
        self._progress.update(self._task, total=max(total, 1))

    def stop(self) -> None:
        """The bar stands still, as it is."""
        self._progress.stop_task(self._task)

    def finish(self, done: int, note: str = "") -> None:
        """The work is done: the bar stands still."""
        self._progress.update(self._task, completed=done, total=max(done, 1), note=note)
        self._progress.stop_task(self._task)


class ProgressBars:
    """Bars that run while the block does. `quiet` shows none, and no lines."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        console = Console(stderr=True)
        self._rich = RichProgress(
            TextColumn("{task.description:<24}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=quiet,
        )

    def bar(self, name: str, total: int) -> Bar:
        """A new line."""
        return Bar(self._rich, self._rich.add_task(name, total=max(total, 1), note=""))

    def say(self, text: str) -> None:
        """A line above the bars."""
        if not self._quiet:
            self._rich.console.print(text, markup=False, highlight=False)

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rich.stop()
