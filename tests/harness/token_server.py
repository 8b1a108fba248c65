"""A small OIDC server with TLS that issues OAUTHBEARER's tokens for client credentials, and its keys."""

from __future__ import annotations

import json
import ssl
import threading
import time
from base64 import b64decode
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

KEY_ID, LIFE_S = "one", 300
ISSUER, AUDIENCE = "https://id.example.org", "kafka"


class TokenServer:
    """Gives a client with the right secret a token with the client as subject.

    `signed_by_another`: signed with a key that no broker knows.
    """

    def __init__(self, context: ssl.SSLContext, clients: Mapping[str, str]) -> None:
        self._clients = dict(clients)
        self._key, self._other = (rsa.generate_private_key(65537, 2048) for _ in range(2))
        self.signed_by_another = False
        self.asked: list[str] = []  # the client of each request
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # as the base class looks for it
                self.rfile.read(int(self.headers.get("content-length", 0)))
                status, answer = owner._answer(self.headers.get("authorization", ""))
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"https://127.0.0.1:{self._server.server_port}/token"

    def write_keys(self, path: Path) -> Path:
        """The public key, as a broker reads it (JWKS)."""
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        path.write_text(json.dumps({"keys": [key | {"kid": KEY_ID, "alg": "RS256", "use": "sig"}]}))
        return path

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, authorization: str) -> tuple[int, dict[str, object]]:
        client, _, secret = b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        self.asked.append(client)
        if not secret or self._clients.get(client) != secret:
            return 401, {"error": "invalid_client"}
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": client, "iat": now, "exp": now + LIFE_S}
        key = self._other if self.signed_by_another else self._key
        token = jwt.encode(claims, key, algorithm="RS256", headers={"kid": KEY_ID})
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": LIFE_S}
