"""Kaskade, a stock user interface for Kafka, in a terminal of its own."""

from __future__ import annotations

from pathlib import Path

from tests.harness.terminals import Session
from tests.harness.third_party import python_programs

LOCK = Path(__file__).parents[1] / "kafka" / "ui.lock"
ENTER, RIGHT = b"\r", b"\x1b[C"
START_TIMEOUT_S, SCREEN_TIMEOUT_S = 60.0, 30.0
# One screen that shows a record whole, and no colours: they would cut its lines into pieces.
SCREEN = {"COLUMNS": "220", "LINES": "100", "TERM": "xterm-256color", "NO_COLOR": "1"}


class Kaskade:
    """The interface on one topic, from its first record; `registry` is the URL of a registry with Confluent's API."""

    def __init__(self, *, brokers: str, registry: str, topic: str, folder: Path) -> None:
        options = ["-b", brokers, "-t", topic, "--earliest", "-k", "string", "-v", "registry"]
        command = [str(python_programs("kafka-ui", LOCK) / "kaskade"), "consumer", *options]
        home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}  # settings of the person who tests stay out
        begin = ["env", *(f"{name}={value}" for name, value in (SCREEN | home).items())]
        self.session = Session([*begin, *command, "--registry", f"url={registry}"], cwd=folder)

    def open_first_record(self, key: str) -> None:
        """Waits until the table shows a record with this key, and opens the first record's value."""
        self.session.until(key.encode(), START_TIMEOUT_S)
        self.session.type(ENTER)
        self.session.until(b"Record Details", SCREEN_TIMEOUT_S)
        self.session.printed = b""
        self.session.type(RIGHT)

    def until(self, text: str) -> None:
        """Waits until the screen has shown this text. Fails with all that it has shown."""
        self.session.until(text.encode(), SCREEN_TIMEOUT_S)

    def close(self) -> None:
        self.session.close()
