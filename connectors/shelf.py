"""A file that lasts as long as its process needs it, for what does not fit into memory: bytes by name."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from connectors.errors import CircleError


class ShelfFull(CircleError):
    """There is no room for the temporary file, or no right to write one."""


class TemporaryShelf:
    """SQLite's own temporary database: it has no name, is in memory while it is small, and is gone when closed."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")  # nobody reads it after a crash
        self._database.execute("CREATE TABLE shelf (name TEXT PRIMARY KEY, kept BLOB NOT NULL)")

    def put(self, name: str, kept: bytes) -> None:
        """Keep these bytes, instead of former ones. Raises ShelfFull."""
        try:
            self._database.execute("INSERT OR REPLACE INTO shelf VALUES (?, ?)", (name, kept))
        except sqlite3.OperationalError as error:
            why = "set TMPDIR to a directory that has room"
            raise ShelfFull(f"{len(kept)} bytes do not fit into a temporary file: {error}; {why}") from error

    def look(self, name: str) -> bytes | None:
        """What is kept under that name."""
        row = self._database.execute("SELECT kept FROM shelf WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def drop(self, name: str) -> None:
        """Keep nothing under that name."""
        self._database.execute("DELETE FROM shelf WHERE name = ?", (name,))

    def __iter__(self) -> Iterator[str]:
        for (name,) in self._database.execute("SELECT name FROM shelf ORDER BY name"):
            yield name

    def __len__(self) -> int:
        (count,) = self._database.execute("SELECT count(*) FROM shelf").fetchone()
        return int(count)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
