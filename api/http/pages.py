"""The pages of the console and of the public status: files that the API sends as they are."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sanic import HTTPResponse

FILES = Path(__file__).parent.parent / "pages" / "console"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HTML_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def page(name: str) -> HTTPResponse:
    """200 with one of the console's pages."""
    return HTTPResponse(_text(name), headers=HTML_HEADERS, content_type="text/html; charset=utf-8")


@cache
def _text(name: str) -> bytes:
    return (FILES / name).read_bytes()
