"""The texts of the console are in `texts.js`, and nowhere else: not in its HTML, its other scripts, or its pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest

from api.http.pages import FILES, page, page_texts
from pipelines.monitoring.alert_rules import ALERT_RULES
from schemas.statuses import EventStage, ReservationStatus

TEXTS = "texts.js"
SCRIPTS = sorted(one for one in FILES.glob("*.js") if one.name != TEXTS)
DOCUMENTS = sorted([*FILES.glob("*.html"), *FILES.glob("*.svg")])
CLASSES = set(re.findall(r"\.([a-z][\w-]*)", (FILES / "console.css").read_text())) | {"state"}
READ_ALOUD = {"alt", "aria-label", "aria-description", "lang", "placeholder", "title"}
"""The attributes whose value a person sees or hears, or whose language it names."""
CODE = {"Bearer ", "POST", "text/plain, */*", "(prefers-color-scheme: dark)"}
"""Literals for the browser or the API that look like texts."""
PATH = re.compile(r"[MLHV0-9 ]*")  # of an SVG path
LETTER = re.compile(r"[^\W\d_]")
PHRASE = re.compile(r"\s|^[A-Z]")  # several words, a word next to a value, or a word that begins a sentence
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
TEMPLATE = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*", re.DOTALL)
BEFORE_REGULAR = re.compile(r"[(,=:\[!&|?{};>]\s*$")
REGULAR = re.compile(r"/(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
QUOTED = re.compile(r"""("|')((?:(?!\1)[^\\\n]|\\.)*)\1""")
SHOWN = re.compile(r"""(?:textContent|document\.title)\s*=\s*$|"?(?:aria-label|placeholder|title|alt)"?\s*:\s*$""")
COMPARED = re.compile(r"[!=]==\s*$")
CHILDREN = {"h": 2, "s": 2, "card": 1, "facts": 0}
"""By function: the first of its arguments that is shown."""


class Literal(NamedTuple):
    """A text in quotes, or a part of a template. `argument` is the call that it is in, and its number there."""

    line: int
    text: str
    before: str
    argument: tuple[str, int]


@dataclass
class Opening:
    """An open bracket, the function before it, and the number of the argument that is being read."""

    bracket: str
    call: str = ""
    argument: int = 0


def literals(source: str) -> Iterator[Literal]:
    """The literals of a script, without those in comments and regular expressions."""
    around: list[Opening] = []
    at = 0
    while at < len(source):
        before = source[max(0, at - 40) : at]
        directly = next((one for one in around[::-1] if one.bracket in "({"), Opening(""))
        argument = (directly.call, directly.argument)
        line = source.count("\n", 0, at) + 1
        if around and around[-1].bracket == "`":
            part = TEMPLATE.match(source, at)
            assert part is not None
            yield Literal(line, part[0], before, argument)
            at = part.end()
            if source[at] == "`":
                around.pop()
                at += 1
            else:
                around.append(Opening("$"))
                at += 2
        elif skipped := COMMENT.match(source, at) or (BEFORE_REGULAR.search(before) and REGULAR.match(source, at)):
            at = skipped.end()
        elif quoted := QUOTED.match(source, at):
            yield Literal(line, quoted[2], before, argument)
            at = quoted.end()
        else:
            if source[at] in "([{`":
                name = re.search(r"[\w$]+$", before) if source[at] == "(" else None
                around.append(Opening(source[at], name[0] if name else ""))
            elif source[at] in ")]}":
                around.pop()
            elif source[at] == "," and around:
                around[-1].argument += 1
            at += 1


def is_shown(one: Literal) -> bool:
    """Whether a person reads this literal."""
    text, (call, argument) = one.text, one.argument
    if not LETTER.search(text) or text in CODE or PATH.fullmatch(text) or set(text.split()) <= CLASSES:
        return False
    if SHOWN.search(one.before) or PHRASE.search(text):
        return True
    return call in CHILDREN and argument >= CHILDREN[call] and not COMPARED.search(one.before)


class Shown(HTMLParser):
    """What a document shows without a script, or has a screen reader say."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in READ_ALOUD]

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def shown_by(document: str) -> list[str]:
    """The texts of a document that are no names of texts in `texts.js`."""
    parser = Shown()
    parser.feed(document)
    without = (re.sub(r"\{\w+\}", "", text).strip() for text in parser.found)
    return [text for text in without if LETTER.search(text)]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_takes_its_texts_from_the_one_file(script: Path) -> None:
    found = [f"{script.name}:{one.line}: {one.text!r}" for one in literals(script.read_text()) if is_shown(one)]
    assert found == [], f"move these texts to {TEXTS}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_has_no_text_of_its_own(document: Path) -> None:
    assert shown_by(document.read_text()) == [], f"move these texts to PAGES of {TEXTS}"


@pytest.mark.parametrize("document", sorted(FILES.glob("*.html")), ids=lambda path: path.name)
def test_the_api_writes_the_texts_into_its_pages(document: Path) -> None:
    body = page(document.name).body
    assert body is not None
    text = body.decode()
    assert '<html lang="en">' in text
    assert page_texts()["skip"] in text
    assert not re.search(r"\{\w+\}", text)


@pytest.mark.parametrize(
    "line",
    [
        'note.textContent = "gone";',
        'h("p", {}, "gone");',
        'show(main, h("p", { class: "soft" }, found ? "gone" : null));',
        'h("p", {}, `${n} left`);',
        'h("input", { placeholder: "name" });',
        'card("half", "sales", list);',
        'const said = "It is gone.";',
    ],
)
def test_a_text_in_a_script_is_found(line: str) -> None:
    assert any(is_shown(one) for one in literals(line))


@pytest.mark.parametrize(
    "line",
    [
        'h("p", { class: "card soft" }, T.gone);',
        "get(`/v1/events/${id}/sales`);",
        'h("p", {}, status === "held" ? T.held : T.sold);',
        'text.replace(/^The end/, ""); // The end',
        'show(parent, h("i", { class: name }), `${number(n)}: ${T.sold}`);',
    ],
)
def test_code_in_a_script_is_no_text(line: str) -> None:
    assert not any(is_shown(one) for one in literals(line))


def test_a_text_in_a_document_is_found() -> None:
    assert shown_by('<a href="#content">{skip} it</a><nav aria-label="Parts"></nav><p lang="{lang}">{parts}</p>') == [
        "it",
        "Parts",
    ]


def test_each_status_has_its_word() -> None:
    words = re.search(r"^  words: \{(.*?)\}", (FILES / TEXTS).read_text(), re.MULTILINE | re.DOTALL)
    assert words is not None
    assert {*EventStage, *ReservationStatus} <= set(re.findall(r"(\w+): \"", words[1]))


def test_the_text_of_each_alert_says_what_its_rule_does() -> None:
    wrong = re.search(r"^    wrong: \{(.*?)^    \},", (FILES / TEXTS).read_text(), re.MULTILINE | re.DOTALL)
    assert wrong is not None
    texts = dict(re.findall(r"^      (\w+): [^=]*=> `(.*)`,$", wrong[1], re.MULTILINE))
    said = {rule.name.value: rule.summary.replace("`", r"\`").replace("{", "${") for rule in ALERT_RULES}
    assert texts == said
