"""TLS in front of a service whose build has none: it decrypts, and passes bytes on in clear on loopback.

The embedded PostgreSQL and Valkey are built without TLS. With this proxy tests check our clients: they ask for TLS,
verify the certificate, and say what is wrong with it.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from types import TracebackType
from typing import Self

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"  # PostgreSQL's clients ask in clear whether the server has TLS
CHUNK = 65_536


class TlsProxy:
    """Listens on a port of its own. `connections` counts the encrypted connections."""

    def __init__(self, upstream: int, context: ssl.SSLContext, *, postgres: bool = False) -> None:
        self._upstream, self._context, self._postgres = upstream, context, postgres
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._acceptor = threading.Thread(target=self._accept, name="tls proxy", daemon=True)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._acceptor.join()
        with self._lock:
            left = list(self._open)
        for one in left:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(client.close)
            try:
                if self._postgres:
                    if client.recv(len(SSL_REQUEST), socket.MSG_WAITALL) != SSL_REQUEST:
                        return  # in clear: not here
                    client.sendall(b"S")
                inside = self._context.wrap_socket(client, server_side=True)
                stack.callback(inside.close)
                outside = socket.create_connection(("127.0.0.1", self._upstream))
                stack.callback(outside.close)
                for one in (inside, outside):  # a request in two parts would wait 40 ms for the first's receipt
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open |= {inside, outside}
            back = threading.Thread(target=_pump, args=(outside, inside), daemon=True)
            back.start()
            _pump(inside, outside)
            back.join()
            with self._lock:
                self._open -= {inside, outside}


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    for one in (source, sink):  # the other direction ends with this one
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
