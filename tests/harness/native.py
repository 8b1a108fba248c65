"""The compiled twins of the Avro reader and writer. With a C compiler they must be there."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path
from typing import Any

import pytest

native_reader: Any
native_writer: Any
try:
    from schemas import native_reader, native_writer
except ImportError:
    compiler = shutil.which(sysconfig.get_config_var("CC").split()[0])
    headers = Path(sysconfig.get_path("include"), "Python.h").exists()
    assert not (compiler and headers), "make setup did not compile native_reader and native_writer"
    native_reader = native_writer = None

needs_native = pytest.mark.skipif(native_reader is None, reason="no C compiler or no Python.h: not compiled")
