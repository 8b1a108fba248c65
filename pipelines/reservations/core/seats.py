"""Which class keeps the seats of a section: the compiled one, or the plain one of `seating.py`. Both choose alike."""

from __future__ import annotations

from schemas import twins

if twins.compiled("pipelines.reservations.core.native_seating"):
    from pipelines.reservations.core.native_seating import NativeSeating as Seating

    SEATING = "compiled"
else:  # there was no C compiler when this was installed
    from pipelines.reservations.core.seating import Seating

    SEATING = "plain"

__all__ = ["SEATING", "Seating"]
