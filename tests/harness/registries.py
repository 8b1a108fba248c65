"""Schema registries to test against: a small one in this process, and Apicurio's on the JVM."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from ops.run.services import kafka_jars
from ops.run.services.process import Service
from tests.harness.plain_http import PLAIN

POM = Path(__file__).parents[1] / "kafka" / "apicurio.xml"
FIRST_ID = 7_001  # like no id of the manifest
Answer = tuple[int, Any]


class Books:
    """The small registry's data.

    It stores compatibility but does not check it; `answers` overrides a path; a path in `busy` is answered with 409
    once, as when another process makes the same change. With `login` ("user:password") it demands
    this basic authentication.
    """

    def __init__(self) -> None:
        self.login: str | None = None
        self.schemas: dict[int, str] = {}
        self.versions: dict[str, list[int]] = {}
        self.config: dict[str, str] = {}
        self.calls: list[str] = []
        self.answers: dict[str, Answer | bytes] = {}
        self.busy: set[str] = set()

    def register(self, subject: str, schema: str) -> int:
        """As POST /subjects/…/versions does it."""
        found = next((number for number, text in self.schemas.items() if _same(text, schema)), None)
        number = FIRST_ID + len(self.schemas) if found is None else found
        self.schemas[number] = schema
        if number not in self.versions.setdefault(subject, []):
            self.versions[subject].append(number)
        return number

    def answer(self, method: str, path: str, body: dict[str, str]) -> Answer | bytes:
        """Status and document, or bytes that are no document."""
        self.calls.append(f"{method} {path}")
        if f"{method} {path}" in self.busy:
            self.busy.remove(f"{method} {path}")
            return 409, {"error_code": 0, "message": "it exists already"}
        if (given := self.answers.get(f"{method} {path}")) is not None:
            return given
        match method, path.strip("/").split("/"):
            case "PUT", ["config", subject]:
                self.config[subject] = body["compatibility"]
                return 200, body
            case "POST", ["subjects", subject, "versions"]:
                return 200, {"id": self.register(subject, body["schema"])}
            case "POST", ["subjects", subject]:
                for number in self.versions.get(subject, ()):
                    if _same(self.schemas[number], body["schema"]):
                        return 200, {"subject": subject, "id": number, "version": 1, "schema": self.schemas[number]}
                return 404, {"error_code": 40403, "message": "Schema not found"}
            case "GET", ["subjects", subject, "versions"]:
                return 200, list(range(1, 1 + len(self.versions[subject])))
            case "GET", ["subjects", subject, "versions", version]:
                number = self.versions[subject][int(version) - 1]
                return 200, {"subject": subject, "id": number, "version": int(version), "schema": self.schemas[number]}
        return 405, {"error_code": 405, "message": "no such method here"}


@contextmanager
def small_registry() -> Iterator[tuple[str, Books]]:
    """Its URL and its books."""
    books = Books()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            length = int(self.headers.get("content-length", 0))
            asked = json.loads(self.rfile.read(length) or b"{}")
            known = books.login is None or self.headers.get("authorization") == _basic(books.login)
            answer = books.answer(self.command, self.path, asked) if known else (401, {"error_code": 401})
            status, body = (200, answer) if isinstance(answer, bytes) else (answer[0], json.dumps(answer[1]).encode())
            self.send_response(status)
            self.send_header("content-type", "application/vnd.schemaregistry.v1+json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815  # as the base class looks for them

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", books
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Apicurio(Service):
    """Apicurio Registry in memory, from Maven, as pinned in `tests/kafka/apicurio.xml`; speaks Confluent's API."""

    name = "apicurio"
    start_timeout_s = 90.0

    @property
    def url(self) -> str:
        return f"http://{self.address}/apis/ccompat/v7"

    def command(self) -> list[str]:
        home = kafka_jars.fetched(POM, "apicurio/registry", "unpack-dependencies")
        (jar,) = home.glob("*-runner.jar")
        options = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xmx256m"]
        properties = [f"-Dquarkus.http.port={self.port}", "-Dquarkus.http.host=127.0.0.1"]
        return [kafka_jars.java(), *options, *properties, "-jar", str(jar)]

    def probe(self) -> bool:
        try:
            return httpx.get(f"{self.url}/subjects", timeout=1, verify=PLAIN).status_code == 200
        except httpx.HTTPError:
            return False


def _basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def _same(one: str, other: str) -> bool:
    return bool(json.loads(one) == json.loads(other))
