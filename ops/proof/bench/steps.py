"""CPU of the core's own steps, without any service: `python -m ops.proof.bench.steps`. For insight, not for promises.

`encoding` writes the same facts with the codec and with fastavro's general writer, and decodes them. `steps` carries
batches through place, decide, encode and reply as the reservations dataflow does. `seating` sells sections of several
sizes to the last seat. Times are CPU of this process. Rounds take turns. The output has their lowest and their median:
other work on the machine shows as the distance between the two.
"""

from __future__ import annotations

import io
import random
import statistics
import time
from collections import deque
from collections.abc import Callable

import fastavro
import msgspec

from ops.output import emit_table
from ops.proof.bench.mix import Layout, Mix
from pipelines.reservations.batch import Batch
from pipelines.reservations.core.seats import Seating
from pipelines.reservations.core.state import EventState
from pipelines.reservations.outgoing import RawRecord
from pipelines.reservations.partition import Partition
from schemas.codec import DECODER, HEADER_BYTES, Codec
from schemas.facts import RecordedFact
from schemas.generate import avro_schema
from schemas.ids import US_PER_MS, US_PER_S, EventId, LogTime

ROUNDS = 9
BATCH = 1_000
COMMANDS = 20_000
SECTIONS = ((10, 10), (32, 32), (100, 100))
STEPS = ("place", "decide", "encode", "reply")
PASSED = (
    ("reply_to", b"circle:replies:bench"),
    ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
)
LOG_TIME_US = 1_800_000_000_000_000  # any time will do: the code here reads no clock except to measure


def main() -> None:
    """Measures everything and prints it."""
    facts = encoding()
    print(f"(over {facts:,} facts)")
    steps()
    seating()


def encoding() -> int:
    """The codec's writer and fastavro's, and the codec's reader, on the facts of one run. Returns how many facts."""
    codec = Codec()
    recorded = [one for one in (codec.decode(value) for value in _facts(codec)) if isinstance(one, RecordedFact)]
    kinds = {type(one.fact) for one in recorded}
    schemas = {kind: fastavro.parse_schema(avro_schema("facts", kind)) for kind in kinds}

    def ours() -> None:
        for one in recorded:
            codec.encode_fact(one.envelope, one.fact)

    def general() -> None:
        for one in recorded:
            buffer = io.BytesIO()
            buffer.write(bytes(HEADER_BYTES))
            fields = {**msgspec.structs.asdict(one.envelope), **msgspec.structs.asdict(one.fact)}
            fastavro.schemaless_writer(buffer, schemas[type(one.fact)], fields)
            buffer.getvalue()

    def decoding() -> None:
        for value in values:
            codec.decode(value)

    values = [codec.encode_fact(one.envelope, one.fact) for one in recorded]
    named = {f"encode, {DECODER}": ours, "encode, fastavro": general, f"decode, {DECODER}": decoding}
    _show("encoding", _measure(named, len(recorded)), "µs a fact")
    return len(recorded)


def steps() -> None:
    """Place, decide, encode and reply, in batches of one event's commands, granted and sold out."""
    codec = Codec()
    for name, wanted in (("granted", 0.9), ("sold out", 0.1)):
        spent: dict[str, list[float]] = {step: [] for step in STEPS}
        for turn in range(ROUNDS):
            setup, load = _commands(codec, seed=turn, share=wanted)
            state, partition = _prepared(codec, setup)
            took = dict.fromkeys(spent, 0.0)
            measured = load if name == "granted" else load[len(load) // 2 :]
            if name == "sold out":
                _carry(codec, load[: len(load) // 2], state, partition, dict.fromkeys(spent, 0.0))
            _carry(codec, measured, state, partition, took)
            for step, seconds in took.items():
                spent[step].append(seconds * US_PER_S / len(measured))
        _show(f"steps, {name}", spent, "µs a command")


def seating() -> None:
    """Choosing and claiming 1 to 4 seats, from an empty section to a full one."""

    def sell(rows: int, width: int) -> Callable[[], int]:
        def run() -> int:
            section, chance, choices = Seating(rows, width), random.Random(1), 0  # noqa: S311 - a bench repeats itself
            while section.free:
                section.claim(section.best_available(min(section.free, chance.randint(1, 4))) or [])
                choices += 1
            return choices

        return run

    spent: dict[str, list[float]] = {}
    for rows, width in SECTIONS:
        run = sell(rows, width)
        empty = [_cpu(lambda rows=rows, width=width: Seating(rows, width)) for _ in range(ROUNDS)]  # type: ignore[misc]
        choices = run()
        taken = [_cpu(run) for _ in range(ROUNDS)]
        spent[f"{rows * width:,} seats"] = [(one - statistics.median(empty)) * US_PER_S / choices for one in taken]
    _show("seating", spent, "µs a choice")


def _carry(
    codec: Codec, records: list[RawRecord], state: EventState, partition: Partition, took: dict[str, float]
) -> None:
    partitions = {partition.number: partition}
    for start in range(0, len(records), BATCH):
        batch = Batch(records[start : start + BATCH])
        took["place"] += _cpu(lambda batch=batch: batch.place(codec, partitions))  # type: ignore[misc]
        took["decide"] += _cpu(lambda batch=batch: batch.decide(dict.fromkeys(batch.events(), state)))  # type: ignore[misc]
        took["encode"] += _cpu(lambda batch=batch: deque(batch.encoded(codec), maxlen=0))  # type: ignore[misc]
        took["reply"] += _cpu(lambda batch=batch: [replies.encoded() for replies in batch.replies().values()])  # type: ignore[misc]


def _commands(codec: Codec, *, seed: int, share: float) -> tuple[list[RawRecord], list[RawRecord]]:
    """The setup and the load of one event as records; `share` of the load finds a place."""
    seats = max(100, round(COMMANDS * share * 2.5 / 20 / 100) * 100)
    mix = Mix(Layout(1, 20, seats), now_us=LOG_TIME_US, seed=seed)
    values = [codec.encode(command) for command in (*mix.setup(), *mix.load(COMMANDS))]
    key = mix.houses[0].event_id.encode()
    records = [
        RawRecord(
            partition=0,
            offset=offset,
            timestamp_ms=LOG_TIME_US // US_PER_MS + offset,
            key=key,
            value=value,
            headers=list(PASSED),
        )
        for offset, value in enumerate(values)
    ]
    return records[:-COMMANDS], records[-COMMANDS:]


def _prepared(codec: Codec, setup: list[RawRecord]) -> tuple[EventState, Partition]:
    state = EventState(EventId(setup[0].key.decode() if setup[0].key else ""))
    partition = Partition(0, 1, LogTime(0), set())
    _carry(codec, setup, state, partition, dict.fromkeys(STEPS, 0.0))
    return state, partition


def _facts(codec: Codec) -> list[bytes]:
    setup, load = _commands(codec, seed=1, share=0.7)
    state, partition = _prepared(codec, setup)
    batch = Batch(load)
    batch.place(codec, {0: partition})
    batch.decide({state.event_id: state})
    return [fact.value for fact in batch.encoded(codec)]


def _measure(named: dict[str, Callable[[], None]], each: int) -> dict[str, list[float]]:
    for work in named.values():
        work()
    spent: dict[str, list[float]] = {name: [] for name in named}
    for _ in range(ROUNDS):
        for name, work in named.items():
            spent[name].append(_cpu(work) * US_PER_S / each)
    return spent


def _cpu(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _show(title: str, spent: dict[str, list[float]], unit: str) -> None:
    rows = [(name, f"{min(taken):.2f}", f"{statistics.median(taken):.2f}") for name, taken in spent.items()]
    emit_table((title, "lowest", "median"), rows, title=f"{unit}, {ROUNDS} rounds")
    print()


if __name__ == "__main__":
    main()
