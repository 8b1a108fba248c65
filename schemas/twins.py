"""Which modules have a compiled twin here, and whether it was compiled from the source that lies next to it.

Guarantee: no process works with a twin of another version. Each source (`native_*.pyx`) states its own hash as SOURCE,
which `python -m schemas.generate` writes, and compiling takes it into the twin. `compiled` compares both once, when the
module that selects is imported.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
from pathlib import Path

# What several twins include (`struct_fields.pxd`) counts as a part of each.
SHARED = Path(__file__).with_name("struct_fields.pxd")
_STATED = re.compile(r'^SOURCE = "([0-9a-f]*)"$', re.MULTILINE)


class StaleTwin(Exception):  # an ImportError would pass for a machine without a C compiler
    """A compiled twin is not that of the source, or cannot be imported. Names the file and what to run."""


def compiled(*names: str) -> bool:
    """Whether all these modules were compiled here. Raises StaleTwin for one that does not fit its source."""
    there = [name for name in names if importlib.util.find_spec(name) is not None]
    for name in there:
        _check(name)
    return len(there) == len(names)


def _check(name: str) -> None:
    try:
        twin = importlib.import_module(name)
    except Exception as error:
        raise StaleTwin(f"the compiled twin {name} cannot be imported ({error}); run `make setup`") from error
    assert twin.__file__ is not None
    source = Path(twin.__file__).with_name(f"{name.rpartition('.')[2]}.pyx")
    if source.exists() and getattr(twin, "SOURCE", "") != stated(source):
        raise StaleTwin(f"{twin.__file__} was compiled from another version of {source.name}; run `make setup`")


def stated(source: Path) -> str:
    """The hash that a source states; "" if it states none."""
    found = _STATED.search(source.read_text())
    return "" if found is None else found[1]


def with_its_hash(source: Path) -> str:
    """The text of a source with its hash. The hash is of everything else in it, and of SHARED."""
    text = source.read_text()
    rest = _STATED.sub("", text) + SHARED.read_text()
    return _STATED.sub(f'SOURCE = "{hashlib.sha256(rest.encode()).hexdigest()[:16]}"', text)
