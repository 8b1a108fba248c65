"""Finds the letters that the fonts of a printed ticket lack, and replaces them if possible.

Guarantee: a character without a glyph is replaced by its plain form (NFKC) if the fonts have that: "𝗧𝗲𝗰𝗵𝗻𝗼" prints as
"Techno". If they have neither, the page names the missing script.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from fontTools.ttLib import TTCollection, TTFont

UNSEEN = ("Cc", "Cf", "Zs", "Zl", "Zp", "Mn")  # no glyph of their own, or one that a shaper finds
SCRIPTS_NAMED_MAX = 3  # one line of the page


class GlyphSet:
    """The characters that some fonts have a glyph for."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = list(folders)

    @cached_property
    def _known(self) -> set[int]:
        """From the character maps of every font in the folders: half a second, at the first text beyond ASCII."""
        known: set[int] = set()
        for path in (path for folder in self._folders for path in folder.iterdir()):
            if path.suffix == ".ttf":
                with TTFont(path) as font:
                    known |= font.getBestCmap().keys()
            elif path.suffix == ".ttc":
                with TTCollection(path) as fonts:
                    known |= {code for font in fonts for code in font.getBestCmap()}
        return known

    def printable(self, text: str) -> str:
        """The text, with characters without a glyph replaced by their plain forms, if those have glyphs."""
        return text if self._has(text) else "".join(map(self._plain, text))

    def missing(self, text: str) -> list[str]:
        """The scripts of `text` that have no glyphs, each once, as Unicode names them: ["Thaana"]."""
        lacking = [letter for letter in text if not self._has(letter)]
        return list(dict.fromkeys(map(_script, lacking)))[:SCRIPTS_NAMED_MAX]

    def _plain(self, letter: str) -> str:
        if self._has(letter):
            return letter
        plain = unicodedata.normalize("NFKC", letter)
        return plain if self._has(plain) else letter

    def _has(self, text: str) -> bool:
        if text.isascii():
            return True
        return all(ord(letter) in self._known or unicodedata.category(letter) in UNSEEN for letter in text)


def _script(letter: str) -> str:
    """The first word of the character's name, which is its script for letters: "THAANA LETTER HAA" is "Thaana"."""
    return unicodedata.name(letter, "other").split()[0].capitalize()
