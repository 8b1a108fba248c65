"""The steps of a followed request: the part of the platform, the time, and what happened there. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Stage(StrEnum):
    """The part of the platform that a step belongs to."""

    HTTP = "http"
    COMMAND = "command"
    DECISION = "decision"
    ROW = "row"
    MESSAGE = "message"
    MAIL = "mail"
    WEBHOOK = "webhook"


class JourneyStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step. `time` is RFC 3339, "" where none is kept. `position` is the command's or the fact's.

    A row's time is the commit of its present version, if PostgreSQL keeps the times of commits; so is that of a message
    that was not read. A fact of which no row is the present version was read at or before its step's time.
    `outcome` is the reason of a refusal, or a status. An HTTP status is derived from the log: "" where it does not
    follow. `trace` is the id of the trace, if the request had one.
    """

    stage: Stage
    time: str
    what: str
    position: str
    outcome: str = ""
    detail: str = ""
    trace: str = ""


def command_of(position: str) -> str:
    """The position of the command of a fact's or a command's position."""
    return "-".join(position.split("-")[:2])
