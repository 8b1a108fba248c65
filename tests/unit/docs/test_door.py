"""The guide to the door: its small scanner works as described, with the keys as the API serves them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from api.auth.keys import KeyRing
from api.ticket_codes import TicketCodes
from tests.unit.docs.pages import blocks, text_of

TICKET, EVENT = "8a7f1f0e-5a7a-4a8e-9f0a-0123456789ab", "11111111-5a7a-4a8e-9f0a-0123456789ab"


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing.load(None)


def scan(folder: Path, keys: KeyRing, code: str) -> subprocess.CompletedProcess[str]:
    (folder / "jwks.json").write_text(json.dumps(keys.jwks()))
    (script,) = blocks(text_of("ops/docs/guide/door.md"), "python")
    command = [sys.executable, "-c", script, str(folder / "jwks.json"), code]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(("seat", "said"), [("AA-12", "AA-12"), ("", "general admission")])
def test_the_guides_scanner_reads_a_code(tmp_path: Path, keys: KeyRing, seat: str, said: str) -> None:
    done = scan(tmp_path, keys, TicketCodes(keys).sign(TICKET, EVENT, seat, 300))
    assert (done.returncode, done.stdout.strip()) == (0, f"{TICKET} {EVENT} 300 {said}"), done.stderr


def test_the_guides_scanner_takes_no_code_of_somebody_elses_key(tmp_path: Path, keys: KeyRing) -> None:
    done = scan(tmp_path, keys, TicketCodes(KeyRing.load(None)).sign(TICKET, EVENT, "A-1"))
    assert (done.returncode, done.stdout) == (1, "")


def test_the_guides_scanner_takes_no_changed_code(tmp_path: Path, keys: KeyRing) -> None:
    code = TicketCodes(keys).sign(TICKET, EVENT, "A-1")
    done = scan(tmp_path, keys, code[:30] + ("A" if code[30] != "A" else "B") + code[31:])
    assert (done.returncode, done.stdout) == (1, "")
