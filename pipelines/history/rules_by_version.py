"""The rules by their version: old decisions are verified under the rules of their day. Pure.

Guarantee: a version that this build does not have is an error that names it, never a decision under other rules.
"""

from __future__ import annotations

from collections.abc import Callable

from pipelines.reservations.core.decide import step
from pipelines.reservations.core.former_rules import step_1, step_2, step_3
from pipelines.reservations.core.state import At, EventState
from schemas import commands as c
from schemas import facts as f
from schemas.codec import Codec, Undecodable
from schemas.command_reading import command_in

Step = Callable[[EventState, c.Command, At], list[f.Fact]]

RULES: dict[int, Step] = {1: step_1, 2: step_2, 3: step_3, f.RULES_VERSION: step}
"""Every version of the rules that a log may have, by `Envelope.rules_version`."""


class UnknownRules(LookupError):
    """A fact was decided under rules that this build does not have."""


def rules(version: int) -> Step:
    """The rules of a version. Raises UnknownRules."""
    found = RULES.get(version)
    if found is None:
        known = ", ".join(map(str, sorted(RULES)))
        raise UnknownRules(f"decided under rules version {version}, this build has {known}; verify with a newer build")
    return found


def command_of(
    codec: Codec, value: bytes | None, partition: int = 0, partitions: int | None = None
) -> c.Command | Undecodable:
    """The command in a record of the commands topic, as the reservations dataflow reads it (`Partition.read`)."""
    return command_in(codec, value, partition, partitions)
