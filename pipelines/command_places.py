"""Whether a fact can be where it says: its command's place has to be on the log.

Guarantee: a position that the commands topic contradicts (another partition, an offset behind the last command) is
found before a reader takes it for how far its partition has come, so it hides none of the facts behind it. Commands
have facts one after the other, so the broker is only asked where a fact leaps ahead of all that is known.
"""

from __future__ import annotations

from confluent_kafka import Consumer

from connectors.kafka import consumer
from connectors.log_bounds import end_of, readable
from connectors.settings import Settings
from schemas.codec import Undecodable
from schemas.facts import Envelope, RecordedFact
from schemas.topics import COMMANDS

END_LATE_MAX = 10_000  # the embedded broker gives an end too low by a batch at most: so far behind it we look ourselves
LEAP_MAX = 1_000_000  # where the log has no commands at all (facts were copied without them)


class CommandPlaces:
    """One reader's partitions. Asks the broker through a client of its own, made when it is needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Consumer | None = None
        self._seen: dict[int, int] = {}  # by partition: the furthest command of a fact that was in place
        self._ends: dict[int, int] = {}  # by partition: where its commands ended when that was asked
        self._beyond: dict[int, tuple[int, int]] = {}  # by partition: an offset that is not there while it ends so

    def in_place(self, partition: int | None, found: object) -> object:
        """`found` as it is, or `Undecodable` for a fact that cannot stand in `partition`. Raises ServiceUnreachable."""
        if type(found) is not RecordedFact:
            return found
        why = self.contradiction(partition, found.envelope)
        return Undecodable(why) if why else found

    def contradiction(self, partition: int | None, at: Envelope) -> str:
        """Why a fact of `partition` cannot be of this command; "" where nothing speaks against it."""
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
        return f"a fact of command {partition}-{at.offset}, but {COMMANDS}[{partition}] ends at {end}"

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
