"""Structured logs: one line per record, facts about work. Never payloads, tokens or mail addresses.

`log = logs.get("worker"); log.info("batch.committed", partition=3, offset=812, records=500)` writes
`2026-01-31T12:00:00.123Z info worker action=batch.committed partition=3 offset=812 records=500`, or
the same as a JSON object. Values are shortened to `VALUE_CHARS_MAX`; names that look like secrets are masked.
"""

import json
import logging
import re
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import TextIO

from connectors.settings import LogFormat, Settings
from schemas.ids import US_PER_S
from schemas.times import rfc3339_of, utc

VALUE_CHARS_MAX = 500  # an error's text fits; a payload does not
TEXTS_MAX = 1_000  # texts whose last time is remembered
_COUNTED = re.compile(r"\s*\([^()]*\)$")
_SECRET = re.compile(r"password|secret|token|authorization|email|payload|body", re.IGNORECASE)
_PLAIN = re.compile(r"[\w.:/@+\-\[\]]+")


class TraceIds:
    """Gives the ids of the current span for a line of the log, while traces are on (`connectors.tracing`)."""

    of_now: Callable[[], dict[str, str]] | None = None


trace_ids = TraceIds()


class Log:
    """Writes structured records under one component's name."""

    __slots__ = ("_logger",)

    def __init__(self, component: str) -> None:
        self._logger = logging.getLogger(f"circle.{component}")

    def debug(self, action: str, **fields: object) -> None:
        self._write(logging.DEBUG, action, fields)

    def info(self, action: str, **fields: object) -> None:
        self._write(logging.INFO, action, fields)

    def warning(self, action: str, **fields: object) -> None:
        self._write(logging.WARNING, action, fields)

    def error(self, action: str, **fields: object) -> None:
        self._write(logging.ERROR, action, fields)

    def exception(self, action: str, error: BaseException, **fields: object) -> None:
        """An error with its type, text and traceback. For an error in an operator, pass its `__cause__`."""
        self._write(logging.ERROR, action, {**fields, "error": f"{type(error).__name__}: {error}"}, error=error)

    def _write(self, level: int, action: str, fields: dict[str, object], *, error: BaseException | None = None) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, action, extra={"fields": fields}, exc_info=error)


def get(component: str) -> Log:
    """The log of one component: `api`, `supervisor` …"""
    return Log(component)


def configure(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Send every record to `stream` (default stderr) in the settings' format and level. Call once per process."""
    handler = logging.StreamHandler(stream or sys.stderr)
    written = _Json() if settings.log_format is LogFormat.JSON else _KeyValue()
    handler.setFormatter(_WithoutSecrets(written, settings))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("circle").setLevel(settings.log_level.upper())


def hush(name: str) -> None:
    """Hide a library's log from the user of a command: its failures are raised as errors and shown once."""
    logger = logging.getLogger(f"circle.{name}")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False


class SeldomAgain(logging.Filter):
    """Lets the same text pass once in `every_s`. A count in brackets at the text's end is ignored."""

    def __init__(self, every_s: float) -> None:
        super().__init__()
        self._every_s = every_s
        self._seen: OrderedDict[str, float] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        text = _COUNTED.sub("", record.getMessage())
        if record.created - self._seen.get(text, -self._every_s) < self._every_s:
            return False
        self._seen[text] = record.created
        self._seen.move_to_end(text)
        if len(self._seen) > TEXTS_MAX:
            self._seen.popitem(last=False)
        return True


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = getattr(record, "fields", {})
    shown = {name: "***" if _SECRET.search(name) else _short(value) for name, value in fields.items()}
    return shown if trace_ids.of_now is None else shown | trace_ids.of_now()


def _short(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= VALUE_CHARS_MAX else text[:VALUE_CHARS_MAX] + "…"


def _time(record: logging.LogRecord) -> str:
    return rfc3339_of(utc(round(record.created * US_PER_S)))


class _KeyValue(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        component = record.name.removeprefix("circle.")
        pairs = {"action": record.getMessage(), **_fields(record)}
        line = " ".join(f"{name}={_quoted(value)}" for name, value in pairs.items())
        text = f"{_time(record)} {record.levelname.lower()} {component} {line}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        pairs: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "component": record.name.removeprefix("circle."),
            "action": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            pairs["traceback"] = self.formatException(record.exc_info)
        return json.dumps(pairs, ensure_ascii=False, default=str)


class _WithoutSecrets(logging.Formatter):
    """Removes every secret of the settings from a record, also from a library's errors."""

    def __init__(self, written: logging.Formatter, settings: Settings) -> None:
        super().__init__()
        self._written, self._secrets = written, sorted(settings.secrets, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        text = self._written.format(record)
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, "…")
        return text


def _quoted(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
