"""Connects the read side to Kafka, PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Message

from connectors.kafka import BatchSource, Gate, Pace, StopFlag, consumer
from connectors.postgres import Database
from connectors.publisher import Publisher
from connectors.readiness import signal_ready
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from pipelines.branches.branch import Branch
from pipelines.branches.positions import Admitted, BranchPositions, DecodedFact
from pipelines.branches.store import BranchStore
from pipelines.command_places import CommandPlaces
from pipelines.flows import Flow
from pipelines.platform_settings import PlatformSettings
from pipelines.read_side.reading import PreparedBranch, preparer, reader, timed, traced
from pipelines.read_side.redrives import Redrives
from pipelines.read_side.writing import Join, dead_letter_writer, writer
from schemas.topics import FACTS
from sinks.dead_letters import DeadLetters


@dataclass(frozen=True, slots=True)
class ReadSideDeps:
    """What the flow is made of. `prepare` has the step of each branch by its name."""

    source: BatchSource
    decode: Callable[[list[Message]], list[DecodedFact]]
    admit: Callable[[list[DecodedFact]], Admitted]
    prepare: dict[str, Callable[[Admitted], PreparedBranch]]
    write: Callable[[PreparedBranch], None]


def branch_of(flow: Flow, settings: PlatformSettings, database: Database) -> Branch[Any, Any]:
    """A branch of a running platform.

    Only the room of this branch is loaded: what mails need takes 24 MB, also of a process that sends none.
    """
    match flow:
        case Flow.PROJECTIONS:
            from pipelines.projections import branch as projections

            return projections.branch(settings, database)
        case Flow.MONITORING:
            from pipelines.monitoring import branch as monitoring

            return monitoring.branch(settings, database)
        case Flow.NOTIFICATIONS:
            from pipelines.notifications import branch as notifications

            return notifications.branch(settings, database)
        case _:
            raise ValueError(f"{flow} is no branch of the read side")


def wire(
    name: str,
    settings: Settings,
    branches: Sequence[Branch[Any, Any]],
    database: Database,
    publisher: Publisher,
    *,
    stop: StopFlag,
) -> ReadSideDeps:
    """Connect everything that the flow `name` needs for these branches.

    Its consumer group is `circle.` and the name. Several processes of one name share its partitions.
    """
    store = BranchStore(database, branches, stop_requested=lambda: stop.requested)
    positions, gate, codec = BranchPositions(settings, store, branches), Gate(), codec_of(settings)
    dead_letters = DeadLetters(settings)
    redrives = Redrives(
        settings,
        store,
        positions,
        branches,
        put_aside_of=lambda found: dead_letter_writer([DecodedFact(*found)], dead_letters, codec),
        publish=publisher.publish_json,
    )

    def look_after() -> None:
        for branch in branches:
            branch.look_after()
        redrives.look_after()

    group = f"circle.{name}"
    source = BatchSource(
        consumer(settings, group=group),
        topic=FACTS,
        owner=positions,
        gate=gate,
        stop=stop,
        pace=Pace.of(settings),
        before_poll=look_after,
        on_assigned=lambda partitions: signal_ready(f"{name} {partitions}"),
    )
    return ReadSideDeps(
        source=source,
        decode=timed(name, "decode", reader(codec, CommandPlaces(settings))),
        admit=timed(name, "admit", traced(positions.admit, group=group)),
        prepare={branch.name: preparer(name, branch) for branch in branches},
        write=Join(branches, writer(name, store, dead_letters, publisher, gate, codec)),
    )
