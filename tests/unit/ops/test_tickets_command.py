"""`circle tickets verify`: signed, forged or no code at all, with keys from a file or an address."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from api.auth.keys import KeyRing
from api.ticket_codes import TicketCodes
from ops.cli.main import run
from ops.run.services.process import free_port

TICKET, EVENT = "8a7f1f0e-5a7a-4a8e-9f0a-0123456789ab", "11111111-5a7a-4a8e-9f0a-0123456789ab"
KEYS = KeyRing.load(None)
CODE = TicketCodes(KEYS).sign(TICKET, EVENT, "A-1", 2)


@pytest.fixture
def jwks(tmp_path: Path) -> str:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(KEYS.jwks()))
    return str(path)


@pytest.fixture
def address() -> Iterator[str]:
    """The keys, served."""

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(KEYS.jwks()).encode()
            self.send_response(200 if self.path == "/.well-known/jwks.json" else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Keys) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/.well-known/jwks.json"
        server.shutdown()
        thread.join()


def test_a_signed_code_is_told_with_what_it_says(jwks: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tickets", "verify", CODE, "--jwks", jwks, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "signed": True,
        "why": None,
        "ticket": {"ticket_id": TICKET, "event_id": EVENT, "seat": "A-1", "version": 2},
    }


def test_keys_come_from_an_address_too(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tickets", "verify", CODE, "--jwks", address]) == 0
    assert capsys.readouterr().out == f"signed: ticket {TICKET}, event {EVENT}, seat A-1, version 2\n"


@pytest.mark.parametrize(
    ("code", "why"), [(TicketCodes(KeyRing.load(None)).sign(TICKET, EVENT, ""), "forged"), ("nonsense", "malformed")]
)
def test_anything_else_ends_with_1(jwks: str, code: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tickets", "verify", code, "--jwks", jwks]) == 1
    assert capsys.readouterr().out.startswith(why)


def test_keys_that_are_none_end_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.json").write_text('{"keys": []}')
    for source in (tmp_path / "empty.json", tmp_path / "missing.json"):
        assert run(["tickets", "verify", CODE, "--jwks", str(source)]) == 2
        assert capsys.readouterr().err.startswith("error: --jwks: ")


def test_an_address_where_nobody_is_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tickets", "verify", CODE, "--jwks", f"http://127.0.0.1:{free_port()}/"]) == 3
    assert "cannot be reached" in capsys.readouterr().err
