"""The shape of the public status: which services answer, and whether selling works. No figure of the platform."""

from __future__ import annotations

from datetime import datetime

import msgspec


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a service answers, and since when this is so."""

    name: str
    answers: bool
    since: datetime


class DataflowStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a dataflow keeps dying, and since when this is so. Both are null while Redis does not answer."""

    name: str
    keeps_dying: bool | None
    since: datetime | None


class StatusOut(msgspec.Struct, frozen=True, kw_only=True):
    """The public status as an API process saw it at `at`. `selling` has been what it is since `since`."""

    at: datetime
    selling: bool
    since: datetime
    services: list[ServiceStatus]
    dataflows: list[DataflowStatus]
