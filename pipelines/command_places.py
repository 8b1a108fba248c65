"""Checks a fact's position: its command must exist on the log.

Guarantee: a fact whose position contradicts the commands topic (another partition, an offset behind the last command)
is found before a reader takes it as its own position. Otherwise it would hide all facts behind it. Facts come in the
order of their commands, so the broker is asked only if a fact jumps ahead of all known commands.
"""

from __future__ import annotations

from confluent_kafka import Consumer

from connectors.kafka import consumer
from connectors.log_bounds import end_of, readable
from connectors.settings import Settings
from schemas.codec import Undecodable
from schemas.facts import Envelope, RecordedFact
from schemas.ids import position_text
from schemas.topics import COMMANDS

END_LATE_MAX = 10_000  # the embedded broker reports an end too low by a batch at most: we look so far behind it
LEAP_MAX = 1_000_000  # if the log has no commands at all (facts were copied without them)


class CommandPlaces:
    """Checks the facts of one reader's partitions. Asks the broker through its own client, made at first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Consumer | None = None
        self._seen: dict[int, int] = {}  # by partition: the furthest command that is known to exist
        self._ends: dict[int, int] = {}  # by partition: the end of its commands at the last question
        self._beyond: dict[int, tuple[int, int]] = {}  # by partition: an offset that is missing at this end

    def in_place(self, partition: int | None, found: object) -> object:
        """`found` as it is, or `Undecodable` for a fact that cannot be in `partition`. Raises ServiceUnreachable."""
        if type(found) is not RecordedFact:
            return found
        why = self.contradiction(partition, found.envelope)
        return Undecodable(why) if why else found

    def contradiction(self, partition: int | None, at: Envelope) -> str:
        """Why a fact of `partition` cannot belong to this command; "" if it can."""
        if partition is None or at.partition != partition:
            return f"a fact of partition {at.partition}"
        seen = self._seen.get(partition, -1)
        if at.offset <= seen + 1 or at.offset < self._ends.get(partition, 0):
            self._seen[partition] = max(seen, at.offset)
            return ""
        if self._client is None:
            self._client = consumer(self._settings, group=None)
        end = self._ends[partition] = end_of(self._client, COMMANDS, partition)
        if self._is_there(partition, at.offset, end, seen):
            self._seen[partition] = at.offset
            return ""
        return f"a fact of command {position_text(partition, at.offset)}, but {COMMANDS}[{partition}] ends at {end}"

    def _is_there(self, partition: int, offset: int, end: int, seen: int) -> bool:
        if offset < end:
            return True
        if end == 0:
            return offset <= seen + LEAP_MAX
        beyond = self._beyond.get(partition)
        if offset >= end + END_LATE_MAX or (beyond is not None and offset >= beyond[0] and end == beyond[1]):
            return False
        if readable(self._settings, COMMANDS, {partition: offset + 1}):
            return True
        self._beyond[partition] = offset, end
        return False
