"""The base of every command."""

from __future__ import annotations

import msgspec

from schemas.ids import CommandId, EventId, UserId


class Command(msgspec.Struct, frozen=True, gc=False):
    """The fields that every command has."""

    event_id: EventId
    user_id: UserId
    command_id: CommandId
