"""Some series of all API processes, from the files through which they share their metrics.

A scrape reads the files whole, which takes milliseconds for each process. The console needs few series each second. The
place of a value in its file never changes, so only new series are looked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from prometheus_client.mmap_dict import MmapedDict

FILES = "*.db"
_USED, _VALUE = Struct("i"), Struct("d")  # as the client writes them: how much of a file is in use, and a value


class SeriesValue(NamedTuple):
    """A value with its name and labels. A bucket's value does not contain those of the lower buckets."""

    name: str
    labels: Mapping[str, str]
    value: float


class _Known(NamedTuple):
    """A file when `used` bytes of it were in use: the places of the wanted series, and their names and labels."""

    used: int
    places: list[tuple[int, str, dict[str, str]]]


class SharedSeries:
    """Reads the wanted series. `wanted` decides by name and labels, once for each process."""

    def __init__(self, directory: Path, wanted: Callable[[str, Mapping[str, str]], bool]) -> None:
        self._directory, self._wanted = directory, wanted
        self._known: dict[Path, _Known] = {}

    def read(self) -> Iterator[SeriesValue]:
        """The series of each process, those of ended processes included."""
        for path in self._directory.glob(FILES):
            with suppress(FileNotFoundError):
                content, known = path.read_bytes(), self._known.get(path)
                if not content:
                    continue  # a process that has just begun
                (used,) = _USED.unpack_from(content)
                if known is None or known.used != used:
                    known = self._known[path] = _Known(used, self._places(path))
                    content = path.read_bytes()  # places may be behind the former end
                for place, name, labels in known.places:
                    yield SeriesValue(name, labels, _VALUE.unpack_from(content, place)[0])

    def _places(self, path: Path) -> list[tuple[int, str, dict[str, str]]]:
        places = []
        for key, _, _, place in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]
            _, name, labels, _ = json.loads(key)
            if self._wanted(name, labels):
                places.append((place, name, labels))
        return places
