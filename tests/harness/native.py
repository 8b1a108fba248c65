"""The compiled twins, where there is a C compiler. With one they must be there."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from schemas.twins import compiled

TWINS = (
    "schemas.native_reader",
    "schemas.native_writer",
    "pipelines.reservations.native_outgoing",
    "pipelines.reservations.core.native_seating",
    "api.http.native_framing",
)


def _twin(name: str) -> Any:
    if compiled(name):  # raises StaleTwin
        return importlib.import_module(name)
    compiler = shutil.which(sysconfig.get_config_var("CC").split()[0])
    headers = Path(sysconfig.get_path("include"), "Python.h").exists()
    assert not (compiler and headers), f"make setup did not compile {name}"
    return None


native_reader, native_writer, native_outgoing, native_seating, native_framing = map(_twin, TWINS)
needs_native = pytest.mark.skipif(native_reader is None, reason="no C compiler or no Python.h: not compiled")


def without_twins(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module as it is where no twin was compiled. Other modules keep theirs."""
    for name in TWINS:
        monkeypatch.setitem(sys.modules, name, None)
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_without_twins", module.__file__)
    assert spec is not None
    assert spec.loader is not None
    plain = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, plain)  # dataclasses look for their module there
    spec.loader.exec_module(plain)
    return plain
