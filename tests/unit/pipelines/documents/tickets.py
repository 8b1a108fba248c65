"""A ticket for documents, and a scanner for pictures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import zxingcpp
from PIL.Image import Image

from pipelines.documents.ticket import PrintableTicket

TICKET_ID = "8a7f1f0e-5a7a-4a8e-9f0a-0123456789ab"
EVENT_ID = "11111111-5a7a-4a8e-9f0a-0123456789ab"


def ticket(**changes: Any) -> PrintableTicket:
    """A ticket for 20:00 in Vienna."""
    fields: dict[str, Any] = {
        "id": TICKET_ID,
        "version": 1,
        "status": "valid",
        "seat": "A-12",
        "ordinal": 1,
        "holder": "Ada Lovelace",
        "ticket_type": "Stalls",
        "event_id": EVENT_ID,
        "title": "Night of the open circle",
        "venue": "Great Hall",
        "starts_at": datetime(2030, 5, 1, 18, tzinfo=UTC),
        "ends_at": datetime(2030, 5, 1, 21, tzinfo=UTC),
        "timezone": "Europe/Vienna",
        "issued_at": datetime(2030, 1, 1, 2, 3, 4, 567, tzinfo=UTC),
        "revision": 7,
        "disputed": False,
    }
    return PrintableTicket(**(fields | changes))


def scanned(picture: Image) -> list[str]:
    """The texts of the QR codes on a picture."""
    found = zxingcpp.read_barcodes(picture.convert("L"), formats=zxingcpp.BarcodeFormat.QRCode)
    return [one.text for one in found]
