"""Decides which endpoint may be called now: each organizer and endpoint has a share, and silent endpoints rest.

Guarantee:
- A new endpoint is on trial: one call at a time, until it answers within QUICK_S. A slow answer puts it on trial again.
- Calls on trial have TRIALS_MAX places together, and TRIALS_PER_ORGANIZER_MAX of these for one organizer. All other
  places are for the other calls, ORGANIZER_MAX of them for one organizer.
- An endpoint that is silent SILENT_MAX times in a row rests, longer each time. Then it gets one call to show that it is
  back.
- No call is lost: a call without a place stays due.
- Memory is bounded: ENDPOINTS_MAX endpoints are remembered, and a forgotten one is on trial.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from connectors.backoff import Backoff
from schemas.ids import AnyId, UserId, WebhookId

IN_FLIGHT_MAX = 64
ORGANIZER_MAX = 16  # a quarter of the places, for an organizer with many endpoints and calls
ENDPOINT_MAX = 4
TRIALS_MAX = 16  # of all organizers: silent endpoints leave three quarters of the places free
TRIALS_PER_ORGANIZER_MAX = 4
QUICK_S = 2.0  # for the calls that wait, a slower answer is as bad as none
SILENT_MAX = 3
REST = Backoff(first_s=30.0, max_s=600.0)
ENDPOINTS_MAX = 10_000  # about 2 MB


class CallUnderWay(NamedTuple):
    """One running call."""

    endpoint_id: WebhookId
    organizer_id: UserId
    on_trial: bool


class FreeTurns(NamedTuple):
    """The free places, as the query needs them: parallel lists."""

    free: int
    trials: int
    endpoints: list[WebhookId]  # those that are not simply on trial with nothing under way …
    of_endpoint: list[int]  # … how many calls each may have more …
    on_trial: list[bool]  # … and whether they count as trials
    organizers: list[UserId]
    of_organizer: list[int]
    trials_of_organizer: list[int]


@dataclass(slots=True)
class _Health:
    proven: bool = False
    silent: int = 0
    rests_until: float = 0.0


class EndpointTurns:
    """The running calls, and how each endpoint answered last. It has no clock of its own."""

    def __init__(self) -> None:
        self._health: OrderedDict[WebhookId, _Health] = OrderedDict()
        self._of_endpoint: Counter[WebhookId] = Counter()
        self._of_organizer: Counter[UserId] = Counter()
        self._trials_of: Counter[UserId] = Counter()

    @property
    def in_flight(self) -> int:
        """The number of running calls."""
        return self._of_organizer.total()

    def places(self, now: float) -> FreeTurns:
        """Room for further calls."""
        known = {key: self._places_of(key, health, now) for key, health in self._health.items()}
        known |= {key: 0 for key in self._of_endpoint if key not in self._health}  # on trial, and under way
        organizers = list(self._of_organizer)
        return FreeTurns(
            free=IN_FLIGHT_MAX - self.in_flight,
            trials=max(0, TRIALS_MAX - self._trials_of.total()),
            endpoints=list(known),
            of_endpoint=list(known.values()),
            on_trial=[not self._is_proven(key) for key in known],
            organizers=organizers,
            of_organizer=[max(0, ORGANIZER_MAX - self._of_organizer[key]) for key in organizers],
            trials_of_organizer=[max(0, TRIALS_PER_ORGANIZER_MAX - self._trials_of[key]) for key in organizers],
        )

    def begin(self, endpoint_id: WebhookId, organizer_id: UserId) -> CallUnderWay:
        """A call begins."""
        call = CallUnderWay(endpoint_id, organizer_id, not self._is_proven(endpoint_id))
        self._of_endpoint[endpoint_id] += 1
        self._of_organizer[organizer_id] += 1
        if call.on_trial:
            self._trials_of[organizer_id] += 1
        return call

    def end(self, call: CallUnderWay, *, answered: bool, seconds: float, now: float) -> float:
        """A call ends. Returns how long its endpoint rests now, in seconds; 0.0: not at all."""
        _less(self._of_endpoint, call.endpoint_id)
        _less(self._of_organizer, call.organizer_id)
        if call.on_trial:
            _less(self._trials_of, call.organizer_id)
        health = self._health.setdefault(call.endpoint_id, _Health())
        self._health.move_to_end(call.endpoint_id)
        if len(self._health) > ENDPOINTS_MAX:
            self._health.popitem(last=False)
        health.proven = answered and seconds <= QUICK_S
        if answered:
            health.silent, health.rests_until = 0, 0.0
            return 0.0
        health.silent += 1
        if health.silent < SILENT_MAX:
            return 0.0
        rest = REST.wait_s(health.silent - SILENT_MAX)
        health.rests_until = now + rest
        return rest

    def _is_proven(self, endpoint_id: WebhookId) -> bool:
        health = self._health.get(endpoint_id)
        return health is not None and health.proven

    def _places_of(self, endpoint_id: WebhookId, health: _Health, now: float) -> int:
        if now < health.rests_until:
            return 0
        return max(0, (ENDPOINT_MAX if health.proven else 1) - self._of_endpoint[endpoint_id])


def _less(counts: Counter[AnyId], key: AnyId) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
