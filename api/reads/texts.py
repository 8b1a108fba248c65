"""Texts that other users see: titles, names, venues, descriptions, reasons. Only this module decides on their content.

Guarantee: a cleaned text is in Unicode's normal form C, so equal texts are equal. Its letters keep their direction, and
it shows no false lines. Invisible characters that come with pasted text are removed. Characters that can deceive a
reader are refused: controls, line separators in a text of one line, characters that change the direction of writing
(U+202A to U+202E, U+2066 to U+2069). Joiners stay between letters: emoji and Persian need them.
"""

from __future__ import annotations

import re
import unicodedata

# Part of a field's pattern, so the OpenAPI document has it too. As code points, for clients in other languages.
CONTROLS = r"\u0000-\u001f\u007f-\u009f"
DECEIVING = r"\u2028-\u202e\u2066-\u2069"
LINE = rf"^[^{CONTROLS}{DECEIVING}]*[^\s{CONTROLS}{DECEIVING}][^{CONTROLS}{DECEIVING}]*(?!\n)$"
LINE_OR_NONE = rf"^[^{CONTROLS}{DECEIVING}]*(?!\n)$"
# A text of several lines may have tabs, line feeds and carriage returns; separators become line feeds.
TEXT = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*$"

MARKS_IN_A_ROW_MAX = 8  # no script stacks more on a letter; more of them cover the lines above

# Invisible, and nothing depends on them: zero-width spaces, byte order marks, soft hyphens, word joiners,
# invisible operators, deprecated format characters, anchors of annotations.
_LEFT_OUT = dict.fromkeys(
    [0x00AD, 0x180E, 0x200B, 0xFEFF, *range(0x2060, 0x2066), *range(0x206A, 0x2070), *range(0xFFF9, 0xFFFC)]
)
_JOINERS = "\u200c\u200d"
_MARKS_OF_DIRECTION = "\u200e\u200f\u061c"  # they only set the side of a neutral character
_REPEATED = re.compile(f"([{_JOINERS}{_MARKS_OF_DIRECTION}])[{_JOINERS}{_MARKS_OF_DIRECTION}]+")
_AT_AN_END = re.compile(f"(?<!\\S)[{_JOINERS}]+|[{_JOINERS}]+(?!\\S)")  # of a word
_FLAG_OF_A_REGION = re.compile("(?<=\U0001f3f4)[\U000e0020-\U000e007e]+\U000e007f")  # 🏴 with its tags, as for Wales
_TAG = re.compile("[\U000e0000-\U000e007f]")
_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"  # letters by class, but invisible
_NOT_CHARACTERS = re.compile("[\ufdd0-\ufdef\ufffe\uffff]")
_LINE_ENDS = re.compile("\r\n?|[\u2028\u2029]")


class InvalidText(ValueError):
    """A text that users may not see as it is. `field` has it, and `text` says what is wrong: "has to be …"."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"`{field}` {text}")
        self.field, self.text = field, text


def cleaned(text: str, *, lines: bool) -> str:
    """The text in its stored form; `lines` allows several lines. The field's pattern has already refused the other
    characters. Raises ValueError with the reason."""
    if text.isascii():
        text = text.replace("\r\n", "\n").replace("\r", "\n") if lines else text
        return text.strip()
    if lines:
        text = _LINE_ENDS.sub("\n", text)
    text = unicodedata.normalize("NFC", text.translate(_LEFT_OUT))
    text = _AT_AN_END.sub("", _REPEATED.sub(r"\1", text)).strip()
    odd = _TAG.search(_FLAG_OF_A_REGION.sub("", text)) or _NOT_CHARACTERS.search(text)
    if odd:
        raise ValueError(f"has U+{ord(odd[0]):04X} in it, which is invisible")
    _check_marks(text)
    return text


def is_blank(text: str) -> bool:
    """Whether the text has no visible character."""
    return not any(unicodedata.category(one)[0] not in "ZCM" and one not in _BLANK_LETTERS for one in text)


def _check_marks(text: str) -> None:
    in_a_row = 0
    for one in text:
        in_a_row = in_a_row + 1 if unicodedata.combining(one) else 0
        if in_a_row > MARKS_IN_A_ROW_MAX:
            raise ValueError(f"has more than {MARKS_IN_A_ROW_MAX} marks on one letter")
