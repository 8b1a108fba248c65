"""Watching a platform under live load, as operators do it: each process's metrics for a Prometheus, and open consoles.

An open console is its stream of states, and its figures of the last hour every few seconds. The CPU of the watching
process is not counted, that of the platform is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from connectors.errors import CircleError
from ops.run.prometheus import SCRAPE_S

WATCHING = "watching"  # as a companion of `circle bench drop`
CONSOLES = 3
FIGURES_S = 5.0  # as often as the console asks
TIMEOUT_S = 30.0
STATES = "/v1/operator/stream"
FIGURES = "/v1/operator/figures?range=hour"
METRICS = "/metrics"


@dataclass(slots=True)
class Watched:
    """What the watchers got: scrapes of all processes, states of the consoles, answers with figures."""

    scrapes: int = 0
    states: int = 0
    figures: int = 0


class _Watchers:
    """The threads that watch, each until the end or its first failure."""

    def __init__(self, client: httpx.Client, dataflows: httpx.Client, metrics_urls: Sequence[str]) -> None:
        self._client, self._dataflows, self._metrics_urls = client, dataflows, metrics_urls
        self.found, self.failures = Watched(), list[str]()
        self._over = threading.Event()
        works = [self._scrapes, *[self._states, self._figures] * CONSOLES]
        self._threads = [threading.Thread(target=self._guarded, args=(work,), name="watcher") for work in works]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads. A stream ends with its next message, or its time limit."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (httpx.HTTPError, CircleError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")

    def _scrapes(self) -> None:
        for _ in self._every(SCRAPE_S):
            _checked(self._client.get(METRICS))
            for one in self._metrics_urls:
                _checked(self._dataflows.get(one))
            self.found.scrapes += 1

    def _figures(self) -> None:
        for _ in self._every(FIGURES_S):
            _checked(self._client.get(FIGURES))
            self.found.figures += 1

    def _states(self) -> None:
        with self._client.stream("GET", STATES) as answer:
            _checked(answer)
            for line in answer.iter_lines():
                self.found.states += line.startswith("data:")
                if self._over.is_set():
                    return

    def _every(self, seconds: float) -> Iterator[None]:
        due = time.monotonic()
        while not self._over.is_set():
            yield
            due += seconds
            self._over.wait(max(0.0, due - time.monotonic()))


@contextmanager
def watching(url: str, token: str, metrics_urls: Sequence[str]) -> Iterator[Watched]:
    """Watch the platform at `url` while the block lasts. `metrics_urls` has those of its dataflows' processes.

    Raises CircleError if a watcher was refused, or got nothing.
    """
    with (
        httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=TIMEOUT_S) as client,
        httpx.Client(timeout=TIMEOUT_S) as dataflows,  # they do not get the token
    ):
        watchers = _Watchers(client, dataflows, metrics_urls)
        watchers.start()
        try:
            yield watchers.found
        finally:
            watchers.stop()
    found = watchers.found
    if watchers.failures:
        raise CircleError(f"watching the platform failed: {watchers.failures[0]}")
    if not (found.scrapes and found.states and found.figures):
        raise CircleError(f"watching got nothing of a kind: {found}")


def _checked(answer: httpx.Response) -> None:
    if answer.is_error:
        raise CircleError(f"{answer.request.method} {answer.request.url.path} was answered with {answer.status_code}")
