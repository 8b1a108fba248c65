"""A ticket's code as a QR code (ISO/IEC 18004), as SVG and as PNG. A scanner reads the code's text from it."""

from __future__ import annotations

from io import BytesIO

import segno

ERROR_CORRECTION = "m"  # 15 % may be unreadable: a thumb, a fold. More would make the modules smaller
QUIET_ZONE_MODULES = 4  # what the standard asks for
PIXELS_PER_MODULE = 8


def svg(code: str) -> bytes:
    """As an SVG file, black on white."""
    return _saved(code, "svg")


def png(code: str) -> bytes:
    """As a PNG file of one bit a pixel."""
    return _saved(code, "png")


def _saved(code: str, kind: str) -> bytes:
    out = BytesIO()
    symbol = segno.make(code, error=ERROR_CORRECTION, micro=False)
    symbol.save(out, kind=kind, scale=PIXELS_PER_MODULE, border=QUIET_ZONE_MODULES, dark="#000", light="#fff")
    return out.getvalue()
