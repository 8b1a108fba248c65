"""Which endpoint may be called now: a share of the calls for each organizer and endpoint, and rest for silent ones.

Guarantee: calls that nobody answers in time have TRIALS_MAX places together, TRIALS_PER_ORGANIZER_MAX of one organizer;
the others always find the rest, ORGANIZER_MAX of them for one organizer. An endpoint is on trial, one call at a time,
until it answers within QUICK_S, and again when it does not. One that is silent SILENT_MAX times in a row rests, longer
each time, and then has one call to show that it is back. Nothing is lost: a call that has no place is still due.
Bounded: ENDPOINTS_MAX endpoints are remembered; one that is forgotten is on trial.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from connectors.backoff import Backoff

IN_FLIGHT_MAX = 64
ORGANIZER_MAX = 16  # a quarter: an organizer with many endpoints and much to tell
ENDPOINT_MAX = 4
TRIALS_MAX = 16  # of all organizers: what does not answer keeps three quarters of the places free
TRIALS_PER_ORGANIZER_MAX = 4
QUICK_S = 2.0  # an answer that takes longer is as good as none for those who wait behind it
SILENT_MAX = 3
REST = Backoff(first_s=30.0, max_s=600.0)
ENDPOINTS_MAX = 10_000  # about 2 MB


class CallUnderWay(NamedTuple):
    """One call that is under way."""

    endpoint_id: str
    organizer_id: str
    on_trial: bool


class FreeTurns(NamedTuple):
    """What there is room for, as the query wants it: lists side by side."""

    free: int
    trials: int
    endpoints: list[str]  # those that are not simply on trial with nothing under way …
    of_endpoint: list[int]  # … how many calls each may have more …
    on_trial: list[bool]  # … and whether they count as trials
    organizers: list[str]
    of_organizer: list[int]
    trials_of_organizer: list[int]


@dataclass(slots=True)
class _Health:
    proven: bool = False
    silent: int = 0
    rests_until: float = 0.0


class Turns:
    """Who has calls under way, and how each endpoint answered last. No clock of its own."""

    def __init__(self) -> None:
        self._health: OrderedDict[str, _Health] = OrderedDict()
        self._of_endpoint: Counter[str] = Counter()
        self._of_organizer: Counter[str] = Counter()
        self._trials_of: Counter[str] = Counter()

    @property
    def in_flight(self) -> int:
        """How many calls are under way."""
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

    def begin(self, endpoint_id: str, organizer_id: str) -> CallUnderWay:
        """A call is made."""
        call = CallUnderWay(endpoint_id, organizer_id, not self._is_proven(endpoint_id))
        self._of_endpoint[endpoint_id] += 1
        self._of_organizer[organizer_id] += 1
        if call.on_trial:
            self._trials_of[organizer_id] += 1
        return call

    def end(self, call: CallUnderWay, *, answered: bool, seconds: float, now: float) -> float:
        """It is over. How long its endpoint rests now; 0.0: not at all."""
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

    def _is_proven(self, endpoint_id: str) -> bool:
        health = self._health.get(endpoint_id)
        return health is not None and health.proven

    def _places_of(self, endpoint_id: str, health: _Health, now: float) -> int:
        if now < health.rests_until:
            return 0
        return max(0, (ENDPOINT_MAX if health.proven else 1) - self._of_endpoint[endpoint_id])


def _less(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
