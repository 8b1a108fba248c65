"""The spans of one batch of commands, while traces are on.

Each command whose request is traced gets a span in its own trace, from the batch's begin to its commit. The batch has a
span of its own, which links to all of these. The facts of a command carry the context of its span.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import msgspec

from connectors.batch_span import BatchSpan
from connectors.tracing import TRACEPARENT, OpenSpan, Tracer, traceparent_of
from pipelines.reservations.batch import Batch
from pipelines.reservations.wiring import GROUP
from schemas.avro_reader import Undecodable
from schemas.topics import COMMANDS


class DecisionSpans:
    """The open spans of one batch: its own, and those of its traced commands by their place in the batch."""

    def __init__(self, whole: OpenSpan, commands: dict[int, OpenSpan]) -> None:
        self._whole, self._commands = whole, commands

    @classmethod
    def begin(cls, tracer: Tracer, batch: Batch) -> DecisionSpans | None:
        """Begin the spans of a placed batch, and let its facts carry them. None if no command is traced."""
        traced = {
            number: parent
            for number, record in enumerate(batch.records)
            if (parent := traceparent_of(record.headers)) and not isinstance(batch.placed[number].command, Undecodable)
        }
        if not traced:
            return None
        batch_span = BatchSpan(tracer, COMMANDS, GROUP, count=len(batch.records), traced=traced.values())
        commands: dict[int, OpenSpan] = {}
        for number, parent in traced.items():
            placed = batch.placed[number]
            name, place = f"decide {type(placed.command).__name__}", (placed.at.partition, placed.at.offset)
            span = batch_span.of_record(name, "decide", parent=parent, place=place)
            commands[number] = span
            record = batch.records[number]
            others = [header for header in record.headers or () if header[0] != TRACEPARENT]
            own = [*others, (TRACEPARENT, span.traceparent.encode())]
            batch.records[number] = msgspec.structs.replace(record, headers=own)
        return cls(batch_span.whole, commands)

    def current(self) -> AbstractContextManager[None]:
        """Make the batch's span the current one, so that log lines have its ids."""
        return self._whole.current()

    def committed(self, batch: Batch) -> None:
        """End the spans: the batch is committed."""
        for number, (_, _, facts) in enumerate(batch.facts()):
            span = self._commands.get(number)
            if span is not None:
                span.set(circle__facts=" ".join(type(fact).__name__ for fact in facts))
                reason = next((str(one) for fact in facts if (one := getattr(fact, "reason", ""))), "")
                if reason:
                    span.set(circle__reason=reason)
                span.end()
        self._whole.end()

    def failed(self, kind: str) -> None:
        """End the spans: the batch is not committed, and its commands will be decided by another process."""
        for span in (*self._commands.values(), self._whole):
            span.fail(kind)
            span.end()
