"""An organizer's server on loopback. It keeps its calls and answers as the test says."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from ops.run.services.process import LOOPBACK
from tests.harness.flows import WAIT_S


@dataclass(frozen=True)
class Received:
    """One call: its path, its headers in lower case, and its unchanged body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def type(self) -> str:
        return str(self.json["type"])

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.body)
        return found


class HookServer:
    """`answer` gives each call a status and headers. It runs in a thread of the server."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.answer: Callable[[Received], tuple[int, dict[str, str]]] = lambda _: (204, {})
        self.calls: list[Received] = []
        self._changed = threading.Condition()
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                call = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                with hooks._changed:
                    hooks.calls.append(call)
                    hooks._changed.notify_all()
                status, headers = hooks.answer(call)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"{self._scheme}://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def until(self, number: int) -> None:
        """Wait until `number` calls have come."""
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self.calls) >= number, WAIT_S)
            assert enough, f"{number} calls, there are {[call.type for call in self.calls]}"
