"""Writes a shadow's facts to a topic of its own, and nothing else.

Guarantee: no Redis, no PostgreSQL, no offsets, no replies, no dead letters. The topic itself is the shadow's position:
the facts of a batch are acknowledged before the next batch is read, and facts of an incomplete command are written
again.
"""

from __future__ import annotations

from collections.abc import Callable

from confluent_kafka import KafkaError, Message, Producer

from connectors.errors import ServiceUnreachable
from connectors.kafka import Gate
from pipelines.reservations.batch import Batch
from pipelines.reservations.outgoing import EncodedFact
from pipelines.reservations.partition import Partition
from schemas import cloudevents
from schemas.codec import Codec
from sinks.batch_sink import BatchSink

FLUSH_S = 30.0


class ShadowSink:
    """Writes batches to `topic`. `sink` is the end of a dataflow."""

    def __init__(
        self,
        producer: Producer,
        topic: str,
        codec: Codec,
        *,
        gate: Gate,
        partitions: dict[int, Partition],
        told: Callable[[Batch], None],
    ) -> None:
        self._producer, self._topic, self._codec, self._gate = producer, topic, codec, gate
        self._partitions, self._told = partitions, told
        self._failed: KafkaError | None = None
        self.sink: BatchSink[Batch] = BatchSink(self.write)

    def write(self, batch: Batch) -> None:
        """One batch. Raises ServiceUnreachable when it is not acknowledged."""
        for fact in batch.encoded(self._codec):
            self._produce(fact)
        left = self._producer.flush(FLUSH_S)
        if left or self._failed is not None:
            why = str(self._failed) if self._failed is not None else f"{left} facts were not acknowledged"
            raise ServiceUnreachable("Kafka", self._topic, why)
        batch.settle(self._partitions)
        self._told(batch)
        self._gate.done()

    def _produce(self, fact: EncodedFact) -> None:
        """Write a fact as a CloudEvent of the shadow's own. It answers no request, so it has no address for a reply."""
        event = [one for one in fact.headers if cloudevents.is_attribute(one[0]) and one[0] != "ce_source"]
        headers = [*event, ("ce_source", f"{cloudevents.SHADOW}/{self._topic}")]
        while True:
            try:
                self._producer.produce(
                    self._topic, fact.value, fact.key, fact.partition, headers=headers, on_delivery=self._delivered
                )
                return
            except BufferError:  # the client's own queue is full: let it send
                self._producer.poll(0.1)

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed = error
