"""A size follows from measured costs: twice the load needs twice the parts, and one event never has two workers."""

from __future__ import annotations

import math
import tracemalloc
import uuid
from pathlib import Path

import msgspec
import pytest

from connectors.errors import SettingsError
from ops.sizing.costs import MEASURED, Costs, Limits, measured
from ops.sizing.sizing import Keeping, Load, Sizing, busiest_share, size
from pipelines.reservations.core.decide import decide
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import At
from schemas.facts import TicketsHeld
from schemas.ids import LogTime
from schemas.placement import partition_of
from tests.harness.words import T, created, folded, published, reserve, type_added

RESERVATIONS = 2_000


def sized(**terms: object) -> Sizing:
    given = {"requests_per_s": 1_000_000.0, "events": 1_000, **terms}
    return size(Load(**given), MEASURED, Limits())  # type: ignore[arg-type]


def cores(found: Sizing) -> dict[str, float]:
    return {part.name: part.cores for part in found.parts}


def units(found: Sizing) -> dict[str, int]:
    return {part.name: part.units for part in found.parts}


def test_twice_the_load_uses_twice_the_cores_and_bytes() -> None:
    one, two = sized(requests_per_s=400_000.0), sized(requests_per_s=800_000.0)
    for name, value in cores(one).items():
        assert cores(two)[name] == pytest.approx(2 * value, rel=0.01), name
    assert two.log_mb_per_s == pytest.approx(2 * one.log_mb_per_s, rel=0.01)
    assert two.rows_per_s == pytest.approx(2 * one.rows_per_s, rel=0.01)


def test_every_unit_stays_below_the_share_that_may_be_busy() -> None:
    found = sized()
    for part in found.parts:
        if part.unit == "processes":
            assert part.cores / part.units <= found.load.busy + 1e-9, part
    assert found.rows_per_s / units(found)["postgres"] <= Limits().postgres_rows_per_s * found.load.busy


def test_the_busiest_partition_is_counted_with_the_platforms_own_placement() -> None:
    counts = [0] * 64
    for number in range(1_000):
        counts[partition_of(f"00000000-0000-4000-8000-{number:012x}", 64)] += 1
    assert busiest_share(1_000, 64) == max(counts) / 1_000
    found = sized()
    busiest = cores(found)["read-side"] * found.busiest_partition / found.partitions
    assert busiest <= found.load.busy * Limits().partition_cores


def test_one_event_has_one_partition_and_one_worker_and_what_is_too_much_for_one_is_said() -> None:
    found = sized(events=1, places=1_000_000)
    assert found.partitions == 1
    assert {units(found)[name] for name in ("reservations", "read-side", "payments")} == {1}
    assert found.one_event.keeping == Keeping.TOO_MUCH
    assert found.one_event.ceiling_per_s == round(1e6 / MEASURED.full_batch_us)
    too_much = {part.name: part.times_too_much for part in found.parts if part.times_too_much > 1.0}
    assert too_much["reservations"] == found.one_event.times == pytest.approx(MEASURED.full_batch_us, rel=0.01)
    read_side = MEASURED.cpu_us["read-side"] / MEASURED.full_batch_us
    assert too_much["read-side"] == pytest.approx(read_side, rel=0.01), "of what the worker accepts"
    for part in found.parts:
        said = f"too much for one, {part.times_too_much:,.1f} times"
        assert (said in part.bounded_by) == (part.name in too_much), part


def test_only_what_the_events_worker_decides_is_charged_to_log_rows_and_services() -> None:
    refused = sized(events=1, places=1_000_000)
    assert refused.accepted_per_s == pytest.approx(refused.one_event.ceiling_per_s, rel=0.01)
    assert refused.accepted_per_s + refused.turned_away_per_s == pytest.approx(1_000_000, rel=0.001)
    assert refused.rows_per_s == pytest.approx(refused.accepted_per_s * MEASURED.rows, rel=0.01)
    assert refused.log_mb_per_s == pytest.approx(refused.accepted_per_s * MEASURED.log_bytes / 1e6, rel=0.01)
    assert cores(refused)["reservations"] == pytest.approx(Limits().partition_cores, rel=0.01)
    twice = sized(requests_per_s=2_000_000.0, events=1, places=1_000_000)
    for name, value in cores(refused).items():
        if name != "api":
            assert cores(twice)[name] == pytest.approx(value, rel=0.01), name
    assert cores(twice)["api"] > cores(refused)["api"], "a request that is turned away costs the API"


def test_one_partition_keeps_no_more_servers_busy_than_it_has_copies_and_rows() -> None:
    found = sized(events=1, places=1_000_000)
    assert {name: units(found)[name] for name in ("broker", "postgres", "redis")} == {
        "broker": 3, "postgres": 1, "redis": 1,
    }  # fmt: skip


def test_a_worker_without_room_for_a_lost_machines_work_is_not_said_to_keep_up() -> None:
    ceiling = 1e6 / MEASURED.full_batch_us
    for share, keeping in ((0.5, Keeping.KEEPS_UP), (0.9, Keeping.NO_ROOM), (1.1, Keeping.TOO_MUCH)):
        found = sized(events=10, requests_per_s=10 * ceiling * share)
        assert found.one_event.keeping == keeping
        assert (found.turned_away_per_s > 0) == (keeping == Keeping.TOO_MUCH)


def test_a_house_sells_out_no_sooner_than_its_worker_grants() -> None:
    found = sized(events=1, places=1_000_000, refused=0.0)
    granted = found.one_event.sold_out_s * found.one_event.ceiling_per_s * found.load.seats_per_order
    assert granted == pytest.approx(1_000_000, rel=0.01)


def test_refusals_at_the_edge_leave_the_workers_room() -> None:
    without, with_edge = sized(refused=0.95), sized(refused=0.95, edge=True)
    assert cores(with_edge)["reservations"] < cores(without)["reservations"]
    assert with_edge.rows_per_s < without.rows_per_s
    assert with_edge.one_event.refusals_per_s > without.one_event.refusals_per_s


def test_what_breaks_first_is_what_needs_the_most_units() -> None:
    found = size(
        Load(requests_per_s=10_000.0, events=100),
        Costs(source="test", cpu_us={**MEASURED.cpu_us, "redis": 5_000.0}),
        Limits(),
    )
    assert found.breaks_first[0] == f"one Redis server: {10_000 * 5_000 / 1e6 / found.load.busy:,.1f} are needed"


def test_the_log_counts_all_copies_for_the_disks_of_a_day() -> None:
    found = sized()
    per_day = found.log_mb_per_s * 3 * 86_400 / 1e6
    assert math.isclose(found.log_tb_per_day, per_day, rel_tol=0.01)


def test_costs_are_read_from_a_bench_and_kept_by_part(tmp_path: Path) -> None:
    cpu = {"api": 100.0, "reservations-1": 40.0, "reservations-2": 20.0, "read-side": 70.0, "payments": 5.0}
    services = {"postgres": 50.0, "valkey": 9.0, "kafka": 130.0}
    steps = [
        {"outcomes_per_s": 10.0, "cpu": []},
        {
            "outcomes_per_s": 990.0,
            "cpu": [{"name": name, "us_per_request": us} for name, us in (cpu | services).items()],
        },
    ]
    file = tmp_path / "drop.json"
    file.write_bytes(msgspec.json.encode({"steps": steps}))
    found = measured(file)
    assert found.cpu_us == {
        "api": 100.0, "reservations": 60.0, "read-side": 70.0, "payments": 5.0, "broker": 130.0, "postgres": 50.0,
        "redis": 9.0,
    }  # fmt: skip
    assert found.source == "drop.json: 990 outcomes/s"


def test_of_rounds_the_one_with_the_median_cost_counts(tmp_path: Path) -> None:
    rounds = [
        {"outcomes_per_s": 990.0, "our_cpu_us_per_request": us, "cpu": [{"name": "api", "us_per_request": us}]}
        for us in (300.0, 100.0, 200.0)
    ]
    file = tmp_path / "drop.json"
    file.write_bytes(msgspec.json.encode({"rounds": rounds}))
    assert measured(file).cpu_us["api"] == 200.0


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"steps": []}', b'{"steps": [{"outcomes_per_s": 1}]}', b'{"steps": [7]}']
)
def test_a_file_that_is_no_result_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "other.json"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        measured(file)
    assert "--measured" in str(raised.value)


def test_the_memory_of_a_reservation_is_the_measured_one() -> None:
    state = folded(created(), type_added(rows=40, seats_per_row=100), published())
    commands = []
    for number in range(RESERVATIONS):
        buyer = str(uuid.UUID(int=number + (7 << 64)))
        commands.append((buyer, str(uuid.uuid5(uuid.UUID(buyer), "key"))))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for offset, (buyer, reservation_id) in enumerate(commands, start=10):
        # Names of their own, as the decoder makes them for each record.
        command = reserve(quantity=2, by=buyer[:1] + buyer[1:], rid=reservation_id[:1] + reservation_id[1:])
        (fact,) = decide(state, command, LogTime(T))
        assert isinstance(fact, TicketsHeld)
        evolve(state, fact, At(0, offset, LogTime(T)))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / RESERVATIONS == pytest.approx(MEASURED.state_bytes, rel=0.35)
