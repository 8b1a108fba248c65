"""Reads a record of the commands topic: the command, or why it cannot be decided on its partition. Pure."""

from __future__ import annotations

from schemas import commands as c
from schemas.codec import Codec, Undecodable
from schemas.placement import misplaced
from schemas.requests_in_turn import flaw_of


def command_in(codec: Codec, value: bytes | None, partition: int, partitions: int | None) -> c.Command | Undecodable:
    """The command in a record of the commands topic, or why it cannot be decided on this partition of `partitions`."""
    command = codec.decode(value)
    if isinstance(command, c.Command):
        why = misplaced(command.event_id, partition, partitions) if partitions is not None else ""
        if isinstance(command, c.ReserveInTurn):
            why = why or flaw_of(command)
        return Undecodable(why) if why else command
    if isinstance(command, Undecodable):
        return command
    return Undecodable(f"a {type(command).__name__}, no command")
