"""Follows the steps of a page in a copy of the repository. The first line of a code block says where its lines go."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.unit.docs.pages import ROOT

BLOCK = re.compile(r"^ *```(?P<language>python|sql|markdown|sh)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"(?:#|--|<!--) (?P<file>\S+?)(?::? |, )(?P<place>.+?)(?: -->)?")
COMMANDS_TIMEOUT_S = 120.0


def copied(target: Path) -> Path:
    """A copy of the working tree, without what tools keep in it."""
    return Path(shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(".*", "__pycache__", "node_modules")))


def followed(section: str, root: Path) -> set[str]:
    """The files that the section's steps changed by hand. Raises AssertionError for a step that fits nowhere."""
    changed: set[str] = set()
    for found in BLOCK.finditer(section):
        if found["language"] == "sh":
            continue
        first, _, lines = textwrap.dedent(found["text"]).partition("\n")
        where = PLACE.fullmatch(first)
        assert where is not None, f"the first line says no place: {first!r}"
        changed.add(_applied(root, where["file"], where["place"], lines))
    return changed


def commands(section: str) -> list[list[str]]:
    """The commands of the section, each as its arguments."""
    texts = [found["text"] for found in BLOCK.finditer(section) if found["language"] == "sh"]
    return [line.split() for text in texts for line in text.splitlines() if line.strip()]


def run(root: Path, arguments: list[str], **environment: str) -> str:
    """What a command says, run in the copy with this Python. Raises AssertionError if it fails."""
    program = [sys.executable if arguments[0].endswith("/python") else arguments[0], *arguments[1:]]
    done = subprocess.run(
        program,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)} | environment,
        capture_output=True,
        text=True,
        timeout=COMMANDS_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _applied(root: Path, file: str, place: str, lines: str) -> str:
    if place == "a new file":
        if "NNNN" in file:
            numbers = [int(path.name[:4]) for path in (root / file).parent.glob("[0-9]*")]
            file = file.replace("NNNN", f"{max(numbers) + 1:04}")
        assert not (root / file).exists(), f"{file} is there already"
        (root / file).write_text(lines)
        return file
    *scopes, where = place.split(", ")
    text = (root / file).read_text().splitlines(keepends=True)
    if file.endswith(".md"):
        number = 0
        for heading in scopes:
            number = next(n for n in range(number, len(text)) if text[n].strip("# \n") == heading) + 1
        assert where == "first", where
        text.insert(number + 1, lines)
    else:
        for scope in scopes:
            text.insert(_line(text, scope, where), lines)
    (root / file).write_text("".join(text))
    return file


def _line(text: list[str], scope: str, where: str) -> int:
    """The line before which a block belongs."""
    begins = [n for n, line in enumerate(text) if re.match(rf"(?:class|def) {scope}\b", line)]
    assert len(begins) == 1, f"there are {len(begins)} {scope}"
    ends = next((n for n in range(begins[0] + 1, len(text)) if text[n][:1] not in " \n)"), len(text))
    relation, _, name = where.partition(" ")
    found = [n for n in range(begins[0], ends) if re.match(rf"    {re.escape(name)}(?:$|:)", text[n])]
    assert len(found) == 1, f"{scope} has {len(found)} lines of {name}"
    return found[0] + (relation == "after")
