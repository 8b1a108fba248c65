"""The spans of one batch of facts, while traces are on.

Each applied fact whose request is traced gets a span in its own trace, from the batch's begin to its commit. The batch
has a span of its own, which links to all of these. The mails and calls that a fact causes continue its span.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from connectors.batch_span import BatchSpan
from connectors.log_reader import log_place
from connectors.tracing import OpenSpan, Tracer, traceparent_of
from pipelines.branches.branch import Part
from pipelines.branches.positions import Admitted
from schemas.facts import RecordedFact
from schemas.ids import position_text
from schemas.topics import FACTS


class ReadSpans:
    """The open spans of one batch."""

    def __init__(self, whole: OpenSpan, facts: list[OpenSpan]) -> None:
        self._whole, self._facts = whole, facts

    @classmethod
    def begin(cls, tracer: Tracer, batch: Admitted, *, group: str) -> Admitted:
        """The batch with the spans of its facts, if any is traced. Its parts know the context of each fact.

        `group` is the consumer group that has read the batch.
        """
        applied = {id(fact): fact for part in batch.parts.values() for fact in part.facts}
        traced: list[tuple[RecordedFact, str, tuple[int, int]]] = []
        for read in batch.batch:
            if isinstance(read.fact, RecordedFact) and id(read.fact) in applied:
                parent = traceparent_of(read.record.headers())  # type: ignore[arg-type]  # the client's stubs are wider
                if parent:
                    traced.append((read.fact, parent, log_place(read.record)))
        if not traced:
            return batch
        parents = [parent for _, parent, _ in traced]
        batch_span = BatchSpan(tracer, FACTS, group, count=len(batch.batch), traced=parents)
        batch_span.whole.set(circle__branches=" ".join(batch.parts))
        spans: list[OpenSpan] = []
        contexts: dict[tuple[int, int, int], str] = {}
        for fact, parent, place in traced:
            at, name = fact.envelope, f"write rows of {type(fact.fact).__name__}"
            span = batch_span.of_record(name, "write rows", parent=parent, place=place)
            span.set(circle__position=position_text(at.partition, at.offset, at.index))
            spans.append(span)
            contexts[at.partition, at.offset, at.index] = span.traceparent
        return replace(batch, parts=_with(batch, contexts), spans=cls(batch_span.whole, spans))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The transaction: the batch's span is the current one, and all spans end with the commit."""
        try:
            with self._whole.current():
                yield
        except BaseException as error:
            for span in (*self._facts, self._whole):
                span.fail(type(error).__name__)
            raise
        finally:
            for span in (*self._facts, self._whole):
                span.end()


def _with(batch: Admitted, contexts: Mapping[tuple[int, int, int], str]) -> dict[str, Part]:
    return {name: replace(part, traces=contexts) for name, part in batch.parts.items()}
