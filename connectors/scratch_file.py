"""A temporary file for data that does not fit into memory: bytes by name. It lasts as long as its process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Generic, TypeVar

from connectors.errors import CircleError

K = TypeVar("K", bound=str)


class ScratchFileFull(CircleError):
    """There is no room for the temporary file, or no right to write one."""


class ScratchFile(Generic[K]):
    """SQLite's own temporary database: it has no name, is in memory while it is small, and is gone when closed.

    Every call raises ScratchFileFull when there is no room.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._run("PRAGMA journal_mode = OFF")  # a crash ends the file's use
        self._run("CREATE TABLE scratch (name TEXT PRIMARY KEY, kept BLOB NOT NULL)")

    def put(self, name: K, kept: bytes) -> None:
        """Keep these bytes under the name. They replace earlier ones."""
        self._run("INSERT OR REPLACE INTO scratch VALUES (?, ?)", name, kept)

    def look(self, name: K) -> bytes | None:
        """The bytes under that name; None if there are none."""
        row = self._run("SELECT kept FROM scratch WHERE name = ?", name).fetchone()
        return None if row is None else row[0]

    def drop(self, name: K) -> None:
        """Drop the bytes under that name."""
        self._run("DELETE FROM scratch WHERE name = ?", name)

    def __contains__(self, name: object) -> bool:
        return self._run("SELECT 1 FROM scratch WHERE name = ?", name).fetchone() is not None

    def __iter__(self) -> Iterator[K]:
        for (name,) in self._run("SELECT name FROM scratch ORDER BY name"):
            yield name

    def __len__(self) -> int:
        (count,) = self._run("SELECT count(*) FROM scratch").fetchone()
        return int(count)

    def _run(self, sql: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._database.execute(sql, values)
        except sqlite3.Error as error:
            raise ScratchFileFull(f"the temporary file: {error}; set TMPDIR to a directory that has room") from error

    def close(self) -> None:
        """Close the file; its content is gone."""
        self._database.close()
