"""A replay beside live load: `circle verify` over the whole log, again and again, as somebody would start it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from connectors.settings import Settings

STOP_S = 10.0


@dataclass(slots=True)
class Beside:
    """How often it came to the end, and how often it found something."""

    runs: int = 0
    diverged: int = 0


@contextmanager
def replaying(settings: Settings) -> Iterator[Beside]:
    """Verify while the block lasts; what has begun then is ended."""
    env = {
        **os.environ,
        "CIRCLE_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "CIRCLE_POSTGRES_URL": settings.postgres_url,
        "CIRCLE_REDIS_URL": settings.redis_url,
        "CIRCLE_PARTITIONS": str(settings.partitions),
    }
    found, over = Beside(), threading.Event()
    running: list[subprocess.Popen[bytes]] = []

    def again() -> None:
        while not over.is_set():
            command = [sys.executable, "-m", "ops.cli.main", "verify", "--json"]
            process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            running[:] = [process]
            code = process.wait()
            if not over.is_set():
                found.runs += 1
                found.diverged += code == 1

    thread = threading.Thread(target=again, name="beside")
    thread.start()
    try:
        yield found
    finally:
        over.set()
        for process in running:
            process.terminate()
        thread.join(STOP_S)
