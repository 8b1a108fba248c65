"""The pages of the console and of the public status: files with the texts of `texts.js` in them.

Guarantee: all texts of the console are in that file, also those which a browser shows before or without scripts.
"""

from __future__ import annotations

import html
import re
from functools import cache
from pathlib import Path

import msgspec
from sanic import HTTPResponse

FILES = Path(__file__).parent.parent / "pages" / "console"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGES = re.compile(r"^export const PAGES = (\{.*?^\});$", re.MULTILINE | re.DOTALL)
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
def _text(name: str) -> str:
    return (FILES / name).read_text(encoding="utf-8").format_map(page_texts())


@cache
def page_texts() -> dict[str, str]:
    """The texts of the HTML files by name, ready for HTML. Raises ValueError if `texts.js` has none."""
    found = PAGES.search((FILES / "texts.js").read_text(encoding="utf-8"))
    if found is None:
        raise ValueError("texts.js has no PAGES: begin a line with `export const PAGES = {` and end it with `};`")
    texts = msgspec.json.decode(found[1], type=dict[str, str])
    return {name: html.escape(text) for name, text in texts.items()}
