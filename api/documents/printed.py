"""A ticket as a PDF page to print. Typst sets it: every script is shaped and broken into lines, and the GIL is free.

What comes from people is handed over as data, never as markup: no title can do more than be printed.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from threading import Lock

import typst

from api.documents import qr
from api.documents.ticket import Ticket

TEMPLATE = (Path(__file__).parent / "ticket.typ").read_bytes()
FONTS = ("manimgx_fonts", "manimgx_fonts_cjk")


class Printer:
    """Prints tickets, one after the other. Fonts are opened at the first one, and read where a title needs them."""

    def __init__(self) -> None:
        self._compiler: typst.Compiler | None = None
        self._lock = Lock()

    def page(self, ticket: Ticket, code: str) -> bytes:
        """The PDF file. The same ticket gives the same bytes."""
        words = {
            "title": ticket.title,
            "when": ticket.when,
            "venue": ticket.venue,
            "ticket_type": ticket.ticket_type,
            "place": ticket.place,
            "holder": ticket.holder,
            "ticket_id": ticket.id,
            "qr": qr.svg(code).decode(),
        }
        issued_at = ticket.issued_at.replace(microsecond=0)
        with self._lock:
            if self._compiler is None:
                self._compiler = typst.Compiler(font_paths=_fonts(), ignore_system_fonts=True)
            pages = self._compiler.compile(TEMPLATE, format="pdf", sys_inputs=words, timestamp=issued_at)
        assert isinstance(pages, bytes)
        return pages


def _fonts() -> typst.Fonts:
    """The fonts of the packages and no others, so that a ticket looks the same on every machine."""
    found = (find_spec(name) for name in FONTS)
    paths = [Path(spec.origin).parent for spec in found if spec is not None and spec.origin is not None]
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=paths)
