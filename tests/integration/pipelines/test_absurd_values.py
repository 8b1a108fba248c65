"""All values that are valid by schema go through every flow: no process dies, nothing is lost, and verify agrees."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Event
from uuid import uuid4

import httpx

from api.auth.tokens import Role
from connectors.readiness import when_ready
from connectors.settings import Settings
from ops.progress import ProgressBars
from ops.verify.verify import VerifyOptions, verify
from pipelines.payments import flow as payments
from pipelines.reservations import flow as reservations
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.money import CURRENCIES
from schemas.placement import partition_of
from schemas.topics import COMMANDS, FACTS, dead_letters
from tests.harness.absurd import Absurd
from tests.harness.api_process import ApiProcess, api_process
from tests.harness.flows import (
    Flow,
    eventually,
    everything,
    monitoring,
    notifications,
    projections,
    rows_of,
    write,
    write_facts,
)
from tests.harness.hostile import HostileTown
from tests.harness.shop import Person, done
from tests.harness.words import EVENT, R1, held, payment_requested
from tests.simulation.whole import EVENT as TOWN

FLOWS: dict[str, Callable[..., int]] = {
    "reservations": reservations.run,
    "projections": projections,
    "notifications": notifications,
    "payments": payments.run,
    "monitoring": monitoring,
}
COMMANDS_EACH, ROUNDS = 250, 2
WAIT_S = 60.0
ABSURD_PARTITION = 7


def test_absurd_values_go_through_every_flow_and_nothing_dies(settings: Settings, tmp_path: Path) -> None:
    settings = replace(settings, smtp_url=f"file://{tmp_path}/mails")
    with ExitStack() as stack:
        api = stack.enter_context(api_process(settings, tmp_path))
        flows = {}
        for name, run in FLOWS.items():  # one after the other: the embedded broker may not answer simultaneous joins
            ready = Event()
            when_ready(ready.set)
            flows[name] = stack.enter_context(Flow(run, settings))
            assert ready.wait(WAIT_S), f"{name} did not become ready"
        query = stack.enter_context(rows_of(settings))

        def alive(where: str) -> None:
            dead = [name for name, flow in flows.items() if not flow.alive]
            assert not dead, f"{dead} died {where}"

        # Commands: a town with a stranger who writes to its log.
        town = HostileTown(4)
        town.run(COMMANDS_EACH)
        home = partition_of(TOWN, settings.partitions)
        write(settings, COMMANDS, [(home, record, []) for record in town.records])

        def through(partition: int, offset: int) -> bool:
            """Wait until everything is projected and counted, perhaps with later ticks of the worker."""
            alive(f"before {partition}-{offset}")
            at = 'SELECT "offset" FROM projection_positions WHERE consumer IN ($1, $2) AND partition = $3'
            found = [row[0] for row in query(at, "projections", "monitoring", partition)]
            return len(found) == 2 and min(found) >= offset

        eventually(lambda: through(home, len(town.records) - 1), "every command is decided", WAIT_S)
        # Facts, on a partition of their own: their users and events do not exist, and the last facts are usual ones. A
        # worker that takes over meanwhile would fold them, and stop: a fact that cannot be folded is no fact of ours.
        codec, absurd = Codec(), Absurd(5, ABSURD_PARTITION, tuple(CURRENCIES))
        facts = absurd.facts(ROUNDS)
        last = [absurd.next(held(["A-1"]), EVENT), absurd.next(payment_requested(attempt="last"), EVENT)]
        write_facts(settings, [*facts, *last])
        wanted = absurd.offset - 1
        eventually(lambda: through(ABSURD_PARTITION, wanted), "every fact is projected and counted", WAIT_S)
        eventually(
            lambda: bool(query("SELECT FROM sandbox.payments WHERE attempt_id = 'last'")), "the last is charged", WAIT_S
        )
        told_of = f'SELECT FROM notifications WHERE partition = {ABSURD_PARTITION} AND "offset" = $1'
        eventually(lambda: bool(query(told_of, wanted - 1)), "the last is told", WAIT_S)
        assert query("SELECT status FROM reservations WHERE id = $1", R1) == [("held",)]
        aside = {(row[0], row[1]) for row in query('SELECT partition, "offset" FROM facts_set_aside')}
        told = {
            (envelope.partition, envelope.offset)
            for letter in everything(settings, dead_letters(FACTS))
            if dict(letter.headers() or []).get("set_aside_by") == b"projections"
            for envelope in (recorded(codec, letter.value()).envelope,)
        }
        assert told == aside, "what has no rows is a letter"
        over_http(api)
        alive("over HTTP")
    with ProgressBars(quiet=True) as progress:
        report = verify(settings, VerifyOptions(partition=home, redis=False), progress)
    assert report.ok, [one.divergences for one in report.partitions if one.divergences]


def recorded(codec: Codec, value: bytes | None) -> RecordedFact:
    found = codec.decode(value)
    assert isinstance(found, RecordedFact)
    return found


def event_at_home(organizer: Person, whole: dict[str, object]) -> str:
    """A new event on a partition without absurd facts: their positions are ahead of the event's, which would be
    skipped."""
    placed = (done(organizer.post("/v1/events", json=whole, prefer="respond-async"), 202) for _ in range(100))
    event = next(str(one["id"]) for one in placed if one["position"]["partition"] != ABSURD_PARTITION)
    eventually(lambda: organizer.get(f"/v1/events/{event}").status_code == 200, "the event is there")
    return event


def over_http(api: ApiProcess) -> None:
    """The same over HTTP: every answer is a success, or says what is wrong."""
    organizer = api.person(str(uuid4()), Role.ORGANIZER)

    def told(response: httpx.Response) -> httpx.Response:
        assert response.status_code < 500, response.text
        return response

    whole = {
        "title": "\U0001f468\u200d\U0001f469" * 60, "description": "é\n" * 2_500, "venue": "v" * 200,
        "starts_at": "2199-12-31T20:00:00Z", "ends_at": "2199-12-31T23:00:00Z", "timezone": "Pacific/Kiritimati",
        "max_tickets_per_user": 10,
    }  # fmt: skip
    event = event_at_home(organizer, whole)
    for moment in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"):
        for field in ("starts_at", "ends_at", "sales_open_at", "sales_close_at", "refund_until"):
            told(organizer.post("/v1/events", json=whole | {field: moment}, prefer="wait=3"))
    layout = {"kind": "general", "capacity": 10}
    types = f"/v1/events/{event}/ticket-types"
    for amount in (-1, 0, 1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 10**30, 1.5):
        wanted = {"name": "x" * 100, "price": {"amount": amount, "currency": "IDR"}, "layout": layout}
        told(organizer.post(types, json=wanted, prefer="wait=20"))
    for currency in (*sorted(CURRENCIES)[:: len(CURRENCIES) // 12], "EUO", "XXX", "eur", ""):
        wanted = {"name": currency or "none", "price": {"amount": 1_234, "currency": currency}, "layout": layout}
        assert (told(organizer.post(types, json=wanted, prefer="wait=20")).status_code == 201) is (
            currency in CURRENCIES
        )
    dear = {"name": "Dear", "price": {"amount": 600_000_000, "currency": "IDR"}, "layout": layout}
    sold = done(organizer.post(types, json=dear, prefer="wait=20"), 201)["id"]
    done(organizer.post(f"/v1/events/{event}/publish", prefer="wait=20"), 200)
    buyer = api.person(str(uuid4()))
    hold = done(buyer.reserve(event, ticket_type_id=sold, quantity=4), 201)
    assert hold["amount"] == 2_400_000_000
    done(buyer.confirm(hold["id"]), 200)
    done(buyer.delete(f"/v1/reservations/{hold['id']}", prefer="wait=20"), 200)
    eventually(
        lambda: buyer.get(f"/v1/reservations/{hold['id']}").json().get("payment") == "refunded", "what was paid is back"
    )
