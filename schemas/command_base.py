"""The base of every command."""

from __future__ import annotations

import msgspec


class Command(msgspec.Struct, frozen=True, gc=False):
    """The fields that every command has."""

    event_id: str
    user_id: str
    command_id: str
