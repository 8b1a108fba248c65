"""The Redis side of a batch: seat claims before the commit, counters and replies after it.

Guarantee: a batch that passes has its claims in Redis under the owner's epoch, and it grants no place that a foreign
owner holds. If a decision did not know all foreign locks of an event, the event is decided again. The new locks are
then a fact.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from connectors.errors import CircleError, ServiceUnreachable
from connectors.logs import Log
from connectors.settings import Settings
from pipelines.reservations.availability import RedisCounters
from pipelines.reservations.batch import Batch, Group
from pipelines.reservations.core.claims import Claim, Claims, live_claims
from pipelines.reservations.core.state import EventState
from pipelines.reservations.metrics import REFUSED_FOREIGN, REFUSED_LOST
from pipelines.reservations.partition import Partition
from pipelines.reservations.seat_locks import SeatLocks, claim_text
from schemas.ids import EventId
from schemas.replies import sealed
from schemas.statuses import ClaimStatus

GUARD_TRIES = 8  # foreign locks that keep changing between decision and claim; each try knows the last change
LOOK_S = 1.0  # how often a worker looks whether Redis still has what was installed
INSTALLS_PER_LOOK_MAX = 5  # unused events are installed again a few at a time, between batches
DONE, DISTRUSTED = "done", "distrusted"

log = Log("guard")


class Guard:
    """The Redis side of a batch: claims before the commit, counters and replies after it."""

    def __init__(
        self,
        locks: SeatLocks,
        settings: Settings,
        partitions: Mapping[int, Partition],
        state_apart: Callable[[int, EventId], EventState],
    ) -> None:
        """`partitions` are those that this process owns now. `state_apart` reads one of their events that no batch has
        met yet, or raises ServiceUnreachable."""
        self._locks = locks
        self._blind = "no-lock" in settings.test_switches
        self._looked = 0.0
        self._lost: dict[int, list[EventId]] = {}  # by partition: events that Redis has lost
        self._versions: dict[EventId, str] = {}
        self._foreign: dict[EventId, set[str]] = {}
        self._counters = RedisCounters()
        self._partitions, self._state_apart = partitions, state_apart

    def install(self, partition: Partition, states: list[EventState]) -> None:
        """Put the live claims of `states` into Redis under the partition's epoch.

        A state that could not be folded is unreliable: its claims in Redis stay as they are.
        """
        states = [state for state in states if not state.unfolded]
        if not states:
            return
        epochs = {state.event_id: partition.epoch for state in states}
        locks_found = self._locks.install(
            epochs, {state.event_id: self._claims_of(partition, state) for state in states}
        )
        for event_id, locks in locks_found.items():
            self._versions[event_id], self._foreign[event_id] = locks
        self._locks.publish(epochs, self._counters.whole(states), [])

    def distrust(self, partition: Partition) -> None:
        """Take away the mark of a finished installation, so that the next look installs every event again."""
        self._locks.mark(_mark(partition.number), DISTRUSTED)

    def claim(self, batch: Batch) -> Batch:
        """Claim the places that the batch grants. Decide an event again if it did not know all foreign locks."""
        groups = [group for group in batch.groups if group.state.details is not None and not group.state.unfolded]
        open_groups = [group for group in groups if group.claims or group.asks_for_seats]
        for group in open_groups:
            foreign = self._foreign.get(group.state.event_id)
            if foreign is not None and foreign != group.state.locked_places and not self._blind:
                group.decide(foreign)
        for _ in range(GUARD_TRIES):
            epochs, versions = self._epochs(open_groups), self._versions
            missed = self._locks.claim(
                epochs,
                {event_id: versions.get(event_id, "0") for event_id in epochs},
                {
                    group.state.event_id: self._texts(group.claims, group.state, epoch)
                    for group, epoch in zip(open_groups, epochs.values(), strict=True)
                },
            )
            open_groups = [group for group in open_groups if group.state.event_id in missed]
            if not open_groups:
                return batch
            for group in open_groups:
                event_id = group.state.event_id
                locks = missed[event_id]
                if locks is None:
                    REFUSED_LOST.inc()
                    group.state.take_back()
                    self.install(self._owner(group), [group.state])
                    log.warning("claims.installed_again", event=event_id)
                else:
                    REFUSED_FOREIGN.inc()
                    self._versions[event_id], self._foreign[event_id] = locks
                group.decide(group.state.locked_places if self._blind else self._foreign[event_id])
        raise CircleError(
            f"event {open_groups[0].state.event_id}: its foreign locks changed {GUARD_TRIES} times in a row"
        )

    def tell(self, batch: Batch) -> None:
        """After the commit: write counters, replies and deadlines. New events are installed in Redis here."""
        for group in batch.groups:
            if group.state.details is not None and group.state.event_id not in self._versions:
                self.install(self._owner(group), [group.state])
        messages = []
        for (channel, key), replies in batch.replies().items():
            message = replies.encoded()
            messages.append((channel, sealed(message, key) if key else message))
        epochs = self._epochs(batch.groups)
        changes = self._counters.changes(group.state for group in batch.groups)
        lost = self._locks.publish(epochs, changes, messages, parts=self._counters.parts(changes))
        if lost:  # Redis does not have the rest of them, or this worker is no longer their owner
            states = [group.state for group in batch.groups if group.state.event_id in lost]
            self._locks.publish(epochs, self._counters.whole(states), [])
        batch.settle(self._partitions)

    def look_after(self) -> None:
        """Install what Redis has lost: the events in use at once, the others a few at a time between batches."""
        now = time.monotonic()
        if now - self._looked >= LOOK_S:
            self._looked = now
            self._find_lost()
        for number in list(self._lost):
            partition = self._partitions.get(number)
            if partition is None or not self._show_some(partition, self._lost[number]):
                del self._lost[number]

    def _find_lost(self) -> None:
        """Find lost partitions: their mark is gone, or says that a former owner did not finish the installation."""
        numbers = list(self._partitions)
        for number, mark in zip(numbers, self._locks.marks([_mark(number) for number in numbers]), strict=True):
            partition = self._partitions[number]
            if mark in (DONE, str(partition.epoch)):
                continue
            self._locks.mark(_mark(number), str(partition.epoch))
            self.install(partition, [state for state in partition.states.values() if state.details is not None])
            self._lost[number] = sorted(partition.known_events - partition.states.keys())
            log.info("claims.install", partition=number, events=len(partition.known_events), mark=mark)

    def _show_some(self, partition: Partition, events: list[EventId]) -> bool:
        """Install some of a partition's lost events. Returns whether there are more."""
        for event_id in events[-INSTALLS_PER_LOOK_MAX:]:
            if event_id not in partition.states:
                try:
                    state = self._state_apart(partition.number, event_id)
                except ServiceUnreachable as error:  # PostgreSQL is away: sales go on, the installation waits
                    log.warning("claims.not_shown", event=event_id, error=str(error))
                    return True
                if state.details is not None:
                    self.install(partition, [state])
            events.remove(event_id)
        if not events:
            # If Redis has lost everything again, the mark is gone, and the installation starts again.
            self._locks.mark_done(_mark(partition.number), str(partition.epoch), DONE)
        return bool(events)

    def _owner(self, group: Group) -> Partition:
        return self._partitions[group.placed[0].at.partition]

    def _epochs(self, groups: Sequence[Group]) -> dict[EventId, int]:
        """The owner's epoch of each group's event, in the order of the groups."""
        partitions = self._partitions
        return {group.state.event_id: partitions[group.placed[0].at.partition].epoch for group in groups}

    def _claims_of(self, partition: Partition, state: EventState) -> dict[str, str]:
        return self._texts(live_claims(state), state, partition.epoch)

    def _texts(self, claims: Claims, state: EventState, epoch: int) -> dict[str, str]:
        """Claims in Redis' text form; "" ends a claim."""
        texts = {}
        former: Claim | None = None
        text = ""
        for place, claim in claims.items():
            if claim is None:
                texts[place] = ""
                continue
            if claim is not former:  # a reservation's places share its claim, and often follow each other
                until, offset = _since(state, claim)
                former, text = claim, claim_text(claim[0], claim[1], until, epoch, offset)
            texts[place] = text
        return texts


def _since(state: EventState, claim: Claim) -> tuple[int, int]:
    """The end of a claim, and the offset of its command."""
    if claim[0] is ClaimStatus.BLOCKED:
        block = state.blocks[claim[1]]
        return block.until_at, block.offset
    reservation = state.reservations[claim[1]]
    return reservation.expires_at, reservation.offset


def _mark(partition: int) -> str:
    return f"circle:installed:{partition}"
