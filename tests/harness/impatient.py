"""A progress display whose reader presses Ctrl-C at some step: for what is safe to stop and start again."""

from __future__ import annotations

from ops.load.progress import Bar, Progress


class Impatient(Progress):
    """Somebody who presses Ctrl-C at some batch."""

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
