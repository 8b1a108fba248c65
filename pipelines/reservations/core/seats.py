"""Which class keeps the seats of a section: the compiled one, or the plain one of `seating.py`. Both choose alike."""

from __future__ import annotations

try:
    from pipelines.reservations.core.native_seating import NativeSeating as Seating

    SEATING = "compiled"
except ImportError:  # there was no C compiler when this was installed
    from pipelines.reservations.core.seating import Seating

    SEATING = "plain"

__all__ = ["SEATING", "Seating"]
