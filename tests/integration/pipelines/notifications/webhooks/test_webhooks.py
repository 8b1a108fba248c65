"""Facts become calls to organizers' servers: once each, signed, to the outside only, also after failures and kills."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.settings import Environment, Settings
from ops.run.services.process import run_coroutine
from pipelines.notifications.webhooks.desk import DELAYS_S
from pipelines.notifications.webhooks.turns import TRIALS_PER_ORGANIZER_MAX
from pipelines.watch.set_aside_rows import NoSuchRow, redrive_rows, set_aside_rows
from schemas.facts import RecordedFact
from tests.harness.certificates import certificates
from tests.harness.fact_logs import log_of
from tests.harness.flows import Flow, Process, eventually, rows_of, write_facts
from tests.harness.flows import notifications as run
from tests.harness.hook_server import HookServer, Received
from tests.harness.words import ALICE, EVENT, ORGANIZER, confirmed, held, hold_expired, on_sale
from tests.unit.pipelines.notifications.webhooks.test_signature import SECRET, verify

Query = Callable[..., list[tuple[Any, ...]]]
TYPES = ["event.created", "ticket-type.added", "event.published", "tickets.held", "reservation.confirmed"]


@pytest.fixture
def hooks() -> Iterator[HookServer]:
    with HookServer() as running:
        yield running


@pytest.fixture
def query(settings: Settings) -> Iterator[Query]:
    with rows_of(settings) as ask:
        ask("INSERT INTO users (id, email, name, password_hash) VALUES ($1, 'o@example.org', 'O', '')", ORGANIZER)
        yield ask


def endpoint(
    query: Query, url: str, *, types: list[str] | None = None, event_id: str = "", organizer: str = ORGANIZER
) -> str:
    made = str(uuid.uuid4())
    query(
        "INSERT INTO webhook_endpoints (id, organizer_id, url, event_id, types, secret) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        *(made, organizer, url, event_id, types or [], SECRET),
    )
    return made


def log(query: Query) -> list[tuple[Any, ...]]:
    return query("SELECT type, status, attempts, answer, error FROM webhook_deliveries ORDER BY number")


def settled(query: Query, number: int) -> None:
    done = "SELECT count(*) FROM webhook_deliveries WHERE status <> 'pending'"
    eventually(lambda: query(done)[0][0] >= number, f"{number} calls are settled")


def sale() -> list[RecordedFact]:
    return log_of(*on_sale(), held(["A-1"]), confirmed(["A-1"]))


def test_each_fact_is_one_signed_call_to_each_endpoint_that_wants_it(
    settings: Settings, hooks: HookServer, query: Query
) -> None:
    endpoint(query, f"{hooks.url}/all")
    endpoint(query, f"{hooks.url}/some", types=["reservation.confirmed", "hold.expired"])
    endpoint(query, f"{hooks.url}/other", event_id=str(uuid.uuid4()))
    facts = sale()
    with Flow(run, settings):
        write_facts(settings, facts)
        write_facts(settings, facts)  # again, as after an aborted transaction on a weak broker
        hooks.until(6)
        settled(query, 6)
    assert sorted(one.type for one in hooks.calls if one.path == "/all") == sorted(TYPES)
    assert [one.type for one in hooks.calls if one.path == "/some"] == ["reservation.confirmed"]
    assert len({one.headers["webhook-id"] for one in hooks.calls}) == len(hooks.calls) == 6
    assert all(verify()(SECRET, one.headers, one.body) for one in hooks.calls)
    assert {one.json["data"]["event_id"] for one in hooks.calls} == {EVENT}
    assert not [one for one in hooks.calls if ALICE.encode() in one.body or b"tok_" in one.body]
    assert {row[1:4] for row in log(query)} == {("delivered", 1, 204)}


def test_what_fails_is_called_again_the_same_and_then_given_up(
    settings: Settings, hooks: HookServer, query: Query
) -> None:
    endpoint(query, hooks.url, types=["reservation.confirmed"])
    answers = iter([(500, {}), (302, {"location": f"{hooks.url}/elsewhere"})])
    hooks.answer = lambda _: next(answers, (204, {}))
    with Flow(run, settings):
        write_facts(settings, sale())
        for tries in (1, 2):
            waits = f"SELECT count(*) FROM webhook_deliveries WHERE attempts = {tries} AND error <> ''"
            eventually(lambda waits=waits: query(waits) == [(1,)], f"try {tries} has failed")
            query("UPDATE webhook_deliveries SET due_at = now(), error = ''")
        settled(query, 1)
        assert log(query) == [("reservation.confirmed", "delivered", 3, 204, "")]
        assert [one.path for one in hooks.calls] == ["/", "/", "/"]
        assert len({(one.headers["webhook-id"], one.body) for one in hooks.calls}) == 1
        hooks.answer = lambda _: (503, {})
        query("UPDATE webhook_deliveries SET status = 'pending', attempts = $1, due_at = now()", len(DELAYS_S))
        settled(query, 1)
    assert log(query) == [("reservation.confirmed", "failed", len(DELAYS_S) + 1, 503, "answered 503")]


def test_a_call_that_fails_as_nobody_foresaw_is_set_aside_and_the_others_are_made(
    settings: Settings, hooks: HookServer, query: Query
) -> None:
    broken = endpoint(query, f"{hooks.url}/broken", types=["reservation.confirmed"])
    endpoint(query, f"{hooks.url}/whole", types=["reservation.confirmed"])
    query("UPDATE webhook_endpoints SET secret = 'whsec_no base64' WHERE id = $1", broken)  # nothing can be signed
    with Flow(run, settings):
        write_facts(settings, sale())
        settled(query, 2)
        assert [one.path for one in hooks.calls] == ["/whole"]
        (aside,) = run_coroutine(set_aside_rows(settings, 10))
        assert (aside.table, aside.what, aside.event_id) == ("webhook_deliveries", "reservation.confirmed", EVENT)
        assert aside.error.startswith("set aside: webhook: Error: ")
        with pytest.raises(NoSuchRow, match="msg_none"):
            run_coroutine(redrive_rows(settings, ["msg_none", aside.id]))
        assert run_coroutine(redrive_rows(settings, [aside.id], dry_run=True)) == [aside.id]
        query("UPDATE webhook_endpoints SET secret = $1", SECRET)
        assert run_coroutine(redrive_rows(settings, ())) == [aside.id]
        eventually(lambda: [one.path for one in hooks.calls] == ["/whole", "/broken"], "the call is made")
    assert run_coroutine(set_aside_rows(settings, 10)) == []


def test_a_message_about_an_account_that_was_set_aside_goes_when_it_is_redriven(
    settings: Settings, query: Query
) -> None:
    query(
        "INSERT INTO direct_messages (user_id, kind, set_aside) VALUES ($1, 'password.changed', 'KeyError')", ORGANIZER
    )
    with Flow(run, settings):
        (aside,) = run_coroutine(set_aside_rows(settings, 10))
        assert (aside.table, aside.what, aside.error) == ("direct_messages", "password.changed", "KeyError")
        assert run_coroutine(redrive_rows(settings, [aside.id])) == [aside.id]
        eventually(lambda: query("SELECT count(*) FROM direct_messages") == [(0,)], "the message is on its topic")


def test_a_killed_process_makes_the_call_again_under_the_same_id(
    settings: Settings, hooks: HookServer, query: Query
) -> None:
    endpoint(query, hooks.url, types=["reservation.confirmed"])
    process = Process.start("notifications", settings)

    def killed(_: Received) -> tuple[int, dict[str, str]]:
        process.kill()  # the organizer's server has the call, but its answer is lost
        return 204, {}

    hooks.answer = killed
    write_facts(settings, sale())
    hooks.until(1)
    eventually(lambda: process.child.poll() is not None, "the process is dead")
    hooks.answer = lambda _: (204, {})
    query("UPDATE webhook_deliveries SET due_at = now()")
    with Flow(run, settings):
        settled(query, 1)
    assert len({(one.headers["webhook-id"], one.body) for one in hooks.calls}) == 1
    assert log(query) == [("reservation.confirmed", "delivered", 2, 204, "")]


def test_a_server_that_hangs_or_is_gone_delays_nobody_else(settings: Settings, hooks: HookServer, query: Query) -> None:
    release = threading.Event()
    gone = endpoint(query, f"{hooks.url}/gone", types=["event.published"])
    endpoint(query, f"{hooks.url}/hangs")
    endpoint(query, f"{hooks.url}/works")

    def answer(call: Received) -> tuple[int, dict[str, str]]:
        if call.path == "/hangs":
            assert release.wait(30)
        return (410 if call.path == "/gone" else 204), {}

    hooks.answer = answer
    try:
        with Flow(run, settings):
            write_facts(settings, sale())
            settled(query, len(TYPES) + 1)
            works = sorted(one.type for one in hooks.calls if one.path == "/works")
            assert works == sorted(TYPES)
            assert len([one for one in hooks.calls if one.path == "/hangs"]) <= 4
            assert query("SELECT enabled, disabled_why FROM webhook_endpoints WHERE id = $1", gone) == [
                (False, "it answered 410 Gone")
            ]
            release.set()
    finally:
        release.set()


def test_twenty_endpoints_of_one_organizer_that_hang_delay_no_other_organizer(
    settings: Settings, hooks: HookServer, query: Query
) -> None:
    release, other = threading.Event(), str(uuid.uuid4())
    query("INSERT INTO users (id, email, name, password_hash) VALUES ($1, 'b@example.org', 'B', '')", other)
    for number in range(20):
        endpoint(query, f"{hooks.url}/hangs/{number}")
    works = endpoint(query, f"{hooks.url}/works", organizer=other)

    def answer(call: Received) -> tuple[int, dict[str, str]]:
        if call.path.startswith("/hangs"):
            assert release.wait(30)
        return 204, {}

    hooks.answer = answer
    made = (
        'INSERT INTO webhook_deliveries (id, endpoint_id, partition, "offset", "index", event_id, type, payload) '
        "SELECT gen_random_uuid()::text, w.id, 0, n, 0, $1, 'tickets.held', '{}' "
        "FROM webhook_endpoints AS w, generate_series(1, 20) AS n WHERE w.owner = $2"
    )
    query(made, EVENT, ORGANIZER)
    with Flow(run, settings):
        hooks.until(TRIALS_PER_ORGANIZER_MAX)  # the largest number of hanging calls of one organizer
        query(made, EVENT, other)
        delivered = "SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = $1 AND status = 'delivered'"
        eventually(lambda: query(delivered, works) == [(20,)], "the other organizer's calls are made")
        assert len([call for call in hooks.calls if call.path != "/works"]) == TRIALS_PER_ORGANIZER_MAX
        release.set()


def test_in_production_nobody_is_called_inside(settings: Settings, hooks: HookServer, query: Query) -> None:
    port = hooks.url.rpartition(":")[2]
    endpoint(query, hooks.url, types=["hold.expired"])
    endpoint(query, f"https://localhost:{port}/", types=["hold.expired"])
    endpoint(query, f"https://2130706433:{port}/", types=["hold.expired"])
    with Flow(run, replace(settings, env=Environment.PRODUCTION)):
        write_facts(settings, log_of(*on_sale(), held(["A-1"]), hold_expired(["A-1"])))
        failed = "SELECT error FROM webhook_deliveries WHERE error <> '' ORDER BY error"
        eventually(lambda: len(query(failed)) == 3, "all three are refused")
    assert [error for (error,) in query(failed)] == [
        "2130706433 leads to 127.0.0.1, which is no public address",
        "it has to begin with https://",
        "localhost leads to 127.0.0.1, which is no public address",
    ]
    assert hooks.calls == []


def test_tls_is_checked_against_the_name_though_the_connection_goes_to_an_address(
    settings: Settings, query: Query, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted, served = certificates(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with HookServer(served) as hooks:
        endpoint(query, f"https://localhost:{hooks.port}/named", types=["tickets.held"])
        endpoint(query, f"{hooks.url}/by-number", types=["tickets.held"])  # the certificate is not of 127.0.0.1
        with Flow(run, settings):
            write_facts(settings, log_of(*on_sale(), held(["A-1"])))
            settled(query, 1)
            refused = "SELECT error FROM webhook_deliveries WHERE status = 'pending' AND error <> ''"
            eventually(lambda: len(query(refused)) == 1, "the other is refused")
    assert [one.path for one in hooks.calls] == ["/named"]
    assert hooks.calls[0].headers["host"] == f"localhost:{hooks.port}"
    ((error,),) = query(refused)
    assert "certificate" in error.lower()


def test_events_from_before_there_were_webhooks_are_known_by_their_rows(
    settings: Settings, hooks: HookServer, query: Query
) -> None:
    endpoint(query, hooks.url)
    query(
        "INSERT INTO events (id, partition, organizer_id, status, title, description, category_id, venue, starts_at, "
        "ends_at, timezone, sales_open_at, sales_close_at, hold_ttl_s, max_tickets_per_user, created_at, "
        "updated_offset, updated_index) "
        "VALUES ($1, 0, $2, 'published', '', '', '', '', 0, 0, '', 0, 0, 0, 0, 0, 0, 0) RETURNING id",
        EVENT,
        ORGANIZER,
    )
    with Flow(run, settings):
        write_facts(settings, log_of(held(["A-1"]), first=3))
        hooks.until(1)
    assert hooks.calls[0].type == "tickets.held"
