"""A recorded drop is replayed against another cluster: the same requests, faster, with other times."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from connectors.kafka import StopFlag
from connectors.settings import Settings
from ops.archive.playback import BadTarget, play
from ops.progress import ProgressBars
from ops.run.services.stack import Stack
from pipelines.configuration import settings_from_env
from schemas.codec import Codec
from schemas.commands import CreateEvent, ReserveInTurn, ReserveTickets
from schemas.facts import RecordedFact
from schemas.placement import partition_of
from schemas.topics import COMMANDS, FACTS
from tests.harness.command_line import Circle
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.flows import Process, everything, read
from tests.harness.words import BOB, EVENT, R2, R3, add_type, create, in_turn, publish, release, reserve, tick

SECOND_US = 1_000_000
OF_BOB = "00000000-0000-4000-8000-00000000000b"


@pytest.fixture
def recorded(settings: Settings) -> BothLogs:
    """A minute of sales, with a tick of the platform and two requests in one record among them."""
    made = BothLogs(partition=partition_of(EVENT, settings.partitions), seed=1)
    together = in_turn(reserve(1, rid=R3), reserve(9, rid=OF_BOB, by=BOB))
    sales = (create(hold_ttl_s=600), add_type(), publish(), reserve(2), tick(), reserve(1, rid=R2), release(), together)
    for command in sales:
        made.now += 10 * SECOND_US
        made.put(command)
    write_both(settings, [made])
    return made


def test_a_drop_is_played_sixty_times_as_fast_and_decided_there(
    circle: Circle, recorded: BothLogs, tmp_path: Path
) -> None:
    assert circle("replay", "export", str(tmp_path / "x"))[0] == 0
    with Stack("embedded") as stack:
        other = settings_from_env(stack.fresh())
        worker = Process.start("reservations", other)
        to = ("--to", other.kafka_bootstrap_servers, "--speed", "60")
        code, found = circle("replay", "load", str(tmp_path / "x"), *to, "--json")
        report = found["report"]
        assert (code, report["commands"], report["played"], report["left_out"]) == (0, 8, 7, {"Tick": 1})
        assert (report["decided"], report["unacknowledged"], report["recorded_s"]) == (7, 0, 70.0)
        assert report["facts"] == {"EventCreated": 1, "TicketTypeAdded": 1, "EventPublished": 1, "TicketsHeld": 3,
                                   "HoldReleased": 1, "ReservationRejected": 1}  # fmt: skip
        assert 1 <= report["seconds"] < 20
        assert circle("replay", "load", *to, "--new-ids", "--json")[1]["report"]["decided"] == 7  # the live log, again
        assert worker.terminate() == 0
        commands = [Codec().decode(one.value()) for one in read(other, COMMANDS, other.partitions, 14)]
    made = [one for one in commands if isinstance(one, CreateEvent)]
    assert len({one.event_id for one in made}) == 2
    assert {one.hold_ttl_s for one in made} == {10}
    assert len({one.reservation_id for one in commands if isinstance(one, ReserveTickets)}) == 4
    together = [one for one in commands if isinstance(one, ReserveInTurn)]
    assert len({one for command in together for one in command.reservation_ids}) == 4


class Soon(StopFlag):
    """A stop that is requested after a number of looks at it."""

    def __init__(self, after: int) -> None:
        self._left = after

    @property
    def requested(self) -> bool:  # type: ignore[override]
        self._left -= 1
        return self._left < 0


def test_stopped_anywhere_and_played_again_every_request_has_the_outcome_it_had(
    settings: Settings, recorded: BothLogs
) -> None:
    with Stack("embedded") as stack, ProgressBars(quiet=True) as progress:
        other = settings_from_env(stack.fresh())
        worker = Process.start("reservations", other)
        played = 0
        for after in (2, 5, 1_000_000):
            report = play(settings, other.kafka_bootstrap_servers, progress, speed=600, stop=Soon(after))
            assert report.stopped == (after < 1_000)
            played += report.played
        assert (report.played, report.decided) == (7, 7)
        assert worker.terminate() == 0
        facts = [Codec().decode(one.value()) for one in everything(other, FACTS)]
    outcomes = Counter(type(one.fact).__name__ for one in facts if isinstance(one, RecordedFact))
    assert outcomes.pop("CommandDuplicated") == played - 7 > 0
    assert outcomes == Counter(
        EventCreated=1, TicketTypeAdded=1, EventPublished=1, TicketsHeld=3, HoldReleased=1, ReservationRejected=1
    )


def test_nobody_plays_a_log_onto_itself(settings: Settings, circle: Circle, recorded: BothLogs) -> None:
    with ProgressBars(quiet=True) as progress, pytest.raises(BadTarget):
        play(settings, settings.kafka_bootstrap_servers, progress, speed=1, stop=StopFlag())
    code, found = circle("replay", "load", "--to", "127.0.0.1:1", "--speed", "10", "--dry-run", "--json")
    assert (code, found["report"]["played"], found["report"]["decided"]) == (0, 7, 0)
