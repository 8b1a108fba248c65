"""The span of a batch of records that one consumer group processes, and those of its records in their own traces."""

from __future__ import annotations

from collections.abc import Collection

from connectors.tracing import OpenSpan, Operation, SpanRole, Tracer, of_topic


class BatchSpan:
    """The open span of a batch. It links to its traced records, and each of them to it."""

    def __init__(self, tracer: Tracer, topic: str, group: str, *, count: int, traced: Collection[str]) -> None:
        """Begin the span of `count` records. `traced` are the `traceparent`s of those that have one."""
        self._tracer, self._topic, self._group = tracer, topic, group
        self.whole = tracer.begin(
            f"process {topic}",
            SpanRole.CONSUMER,
            links=traced,
            messaging__batch__message_count=count,
            topic=of_topic(topic, Operation.PROCESS, group=group),
        )

    def of_record(self, name: str, step: str, *, parent: str, place: tuple[int, int]) -> OpenSpan:
        """Begin the span of one `step` for a record, in the trace `parent`. `place` is its partition and offset."""
        span = self._tracer.begin(
            name,
            SpanRole.CONSUMER,
            parent=parent,
            links=filter(None, [self.whole.traceparent]),
            topic=of_topic(self._topic, Operation.PROCESS, step, group=self._group),
        )
        span.at(*place)
        return span
