"""The API alone, as a process of its own: `circle api` on a free port, until the end of the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from api.auth.keys import KeyRing, generate_pem
from api.auth.tokens import AccessTokens, Role
from connectors.settings import Settings
from ops.run.services.process import free_port, wait_for
from tests.harness.plain_http import PLAIN
from tests.harness.shop import Person

READY_S = 60.0
OPERATOR_TOKEN = "a-token-of-an-operator"
OPERATOR = {"authorization": f"Bearer {OPERATOR_TOKEN}"}
STOP_S = 15.0


class ApiProcess:
    """A running API, and callers of any kind for it."""

    def __init__(self, process: subprocess.Popen[bytes], http: httpx.Client, key_file: Path, log: Path) -> None:
        self.process, self.http, self.log = process, http, log
        keys = KeyRing.load(key_file)
        self._tokens = AccessTokens(keys)
        self.public_keys = {kid: key.public for kid, key in keys.by_kid.items()}

    def person(self, user_id: str, role: Role = Role.BUYER) -> Person:
        """A caller without an account: the log needs none."""
        return Person(
            http=self.http, id=user_id, email="", access_token=self._tokens.issue(user_id, role), refresh_token=""
        )

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


def api_command(module: str, port: int, workers: int) -> list[str]:
    """The command line of `circle api`, as the module `module` runs it."""
    return [sys.executable, "-m", module, "api", "--port", str(port), "--workers", str(workers)]


def environment(settings: Settings, key_file: Path, **env: str) -> dict[str, str]:
    """The variables of `circle api` with the services of `settings`, without rate limits."""
    variables = {
        "CIRCLE_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "CIRCLE_POSTGRES_URL": settings.postgres_url,
        "CIRCLE_REDIS_URL": settings.redis_url,
        "CIRCLE_JWT_KEY_FILE": str(key_file),
        "CIRCLE_RATE_LIMIT_SCALE": "0",
        "CIRCLE_OPERATOR_TOKEN": OPERATOR_TOKEN,
    }
    return {**os.environ, **variables, **env}


@contextmanager
def api_process(
    settings: Settings, scratch: Path, *, workers: int = 1, module: str = "ops.cli.main", **env: str
) -> Iterator[ApiProcess]:
    """`circle api` with the services of `settings`, ready. Processes with the same `scratch` share a key."""
    key_file = scratch / "jwt.pem"
    if not key_file.exists():
        key_file.write_bytes(generate_pem())
    port = free_port()
    log_file = scratch / f"api-{port}.log"
    log = log_file.open("wb")
    process = subprocess.Popen(
        api_command(module, port, workers), env=environment(settings, key_file, **env), stdout=log, stderr=log
    )
    try:
        with log, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=40, verify=PLAIN) as http:
            failure = wait_for(lambda: _answers(http), timeout_s=READY_S)
            assert failure is None, log_file.read_text()
            yield ApiProcess(process, http, key_file, log_file)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False
