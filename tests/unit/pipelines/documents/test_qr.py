"""QR codes: a scan of the picture gives the code, letter for letter."""

from __future__ import annotations

from io import BytesIO

import pypdfium2
import pytest
import typst
from PIL import Image

from api.auth.keys import KeyRing
from api.ticket_codes import TicketCodes
from pipelines.documents import qr
from tests.unit.pipelines.documents.tickets import EVENT_ID, TICKET_ID, scanned

CODES = [TicketCodes(KeyRing.load(None)).sign(TICKET_ID, EVENT_ID, seat, 65535) for seat in ("", "A-1", "AAA-99999")]


@pytest.mark.parametrize("code", CODES)
def test_a_scanner_reads_the_code_off_the_png(code: str) -> None:
    picture = Image.open(BytesIO(qr.png(code)))
    assert scanned(picture) == [code]
    assert picture.width == picture.height <= 600, "fits a telephone's screen"
    assert {picture.convert("L").getpixel((x, 0)) for x in range(picture.width)} == {255}, "the quiet zone is white"


@pytest.mark.parametrize("code", CODES)
def test_a_scanner_reads_the_code_off_the_svg(code: str) -> None:
    drawing = qr.svg(code)
    assert b"<script" not in drawing
    page = typst.compile(
        b'#set page(width: auto, height: auto)\n#image(bytes(sys.inputs.svg), format: "svg", width: 60mm)',
        format="pdf",
        sys_inputs={"svg": drawing.decode()},
    )
    with pypdfium2.PdfDocument(page) as document:
        assert scanned(document[0].render(scale=3).to_pil()) == [code]
