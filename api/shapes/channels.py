"""What somebody wants to be told over which channel."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.shapes.base import Request
from pipelines.notifications.kinds import KINDS

KindName = Annotated[
    str, Meta(min_length=1, max_length=40, pattern=r"^[a-z.-]+(?!\n)$", description=f"one of {', '.join(KINDS)}")
]


class PreferenceOut(msgspec.Struct, frozen=True, kw_only=True):
    """Where messages of a kind go: the inbox, the live stream, mail."""

    kind: str
    about: str
    inbox: bool
    stream: bool
    mail: bool


class PreferencesOut(msgspec.Struct, frozen=True):
    """Every kind there is."""

    items: list[PreferenceOut]


class PreferenceIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to change about one kind; what is not named stays."""

    kind: KindName
    inbox: bool | UnsetType = UNSET
    stream: bool | UnsetType = UNSET
    mail: bool | UnsetType = UNSET


class PreferencesIn(Request, frozen=True):
    """What to change, kind by kind. Messages that are delivered from now on go by it."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"items": [{"kind": "ticket.held", "mail": True, "stream": False}]}

    items: Annotated[list[PreferenceIn], Meta(min_length=1, max_length=len(KINDS))]
