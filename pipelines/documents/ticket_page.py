"""A ticket as a PDF page to print. Typst sets it: scripts are shaped and broken into lines, and the GIL is free.

The packaged fonts have most living scripts. A character that they lack is printed in its plain form, or else as a box;
then the page names its script (`letters`).

Texts from users are passed as data, never as markup: a title can only be printed.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from pipelines.documents import qr
from pipelines.documents.ticket import PrintableTicket

if TYPE_CHECKING:
    import typst

    from pipelines.documents.letters import GlyphSet

TEMPLATE = (Path(__file__).parent / "ticket.typ").read_bytes()
DISPUTED = "The payment of this ticket was disputed when this page was made. While it is, the ticket opens no door."
FONTS = ("manimgx_fonts", "manimgx_fonts_cjk")


class Printer:
    """Prints tickets, one after the other. Fonts are opened at the first ticket, and read when a title needs them."""

    def __init__(self) -> None:
        self._compiler: typst.Compiler | None = None
        self._letters: GlyphSet | None = None
        self._lock = Lock()

    def page(self, ticket: PrintableTicket, code: str) -> bytes:
        """The PDF file. The same ticket gives the same bytes."""
        issued_at = ticket.issued_at.replace(microsecond=0)
        with self._lock:
            if self._compiler is None or self._letters is None:
                # Not at the start of a process: these libraries are a tenth of it, and few processes print.
                import typst

                from pipelines.documents.letters import GlyphSet

                folders = _font_folders()
                # Only the packaged fonts, so that a ticket looks the same on every machine.
                fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=folders)
                self._compiler = typst.Compiler(font_paths=fonts, ignore_system_fonts=True)
                self._letters = GlyphSet(folders)
            words = {
                "title": self._letters.printable(ticket.title),
                "when": ticket.when,
                "venue": self._letters.printable(ticket.venue),
                "ticket_type": self._letters.printable(ticket.ticket_type),
                "place": ticket.place,
                "holder": self._letters.printable(ticket.holder),
            }
            boxes = self._letters.missing("".join(words.values()))
            words["note"] = f"Letters that this page has no font for are boxes: {', '.join(boxes)}." if boxes else ""
            words["warning"] = DISPUTED if ticket.disputed else ""
            words |= {"ticket_id": ticket.id, "qr": qr.svg(code).decode()}
            pages = self._compiler.compile(TEMPLATE, format="pdf", sys_inputs=words, timestamp=issued_at)
        assert isinstance(pages, bytes)
        return pages


def _font_folders() -> list[Path]:
    packages = (find_spec(name) for name in FONTS)
    return [Path(spec.origin).parent for spec in packages if spec is not None and spec.origin is not None]
