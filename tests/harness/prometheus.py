"""Prometheus and promtool, as Debian's package has them. Where they cannot be had, a test is skipped, and says so."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ops.run.services.process import LOOPBACK, free_port
from tests.harness.debian import program

PACKAGE = "prometheus"
START_S = 30.0
ANSWER_S = 10.0


def tool(name: str) -> str:
    """The path of `prometheus` or `promtool`. Skips the test when there is none and none can be had."""
    return str(program(name, PACKAGE))


def promtool(*arguments: str) -> str:
    """The output of `promtool …`. An error of it is one of the test."""
    done = subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lint(metrics: str) -> str:
    """What `promtool check metrics` has against the text of a process's `/metrics`; "" for nothing."""
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=metrics, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


class Prometheus:
    """A running Prometheus on loopback. `features` are those of `--enable-feature`."""

    def __init__(self, config: Path, data: Path, *, features: str = "") -> None:
        self._config, self._data, self._features = config, data, features
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._data.mkdir(parents=True, exist_ok=True)
        with (self._data / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    tool("prometheus"),
                    f"--config.file={self._config}",
                    f"--storage.tsdb.path={self._data / 'tsdb'}",
                    f"--web.listen-address={LOOPBACK}:{self.port}",
                    *([f"--enable-feature={self._features}"] if self._features else []),
                ],
                stdout=log,
                stderr=log,
            )
        self.until(lambda: self._get("/-/ready") is not None, "Prometheus is ready", START_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(ANSWER_S)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression now: `metric` has the labels, `value` the time and the value as text."""
        text = self._get("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        assert text is not None, f"no answer to {expression}"
        found: list[dict[str, Any]] = json.loads(text)["data"]["result"]
        return found

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        series = self.query('ALERTS{alertstate="firing"}')
        return {one["metric"]["alertname"] for one in series}

    def until(self, true: Callable[[], bool], what: str, within_s: float) -> None:
        """Ask again and again until it is true."""
        deadline = time.monotonic() + within_s
        while not true():
            assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
            time.sleep(0.2)

    def _get(self, path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}{path}", timeout=ANSWER_S) as answer:
                body: bytes = answer.read()
                return body
        except OSError:
            return None
