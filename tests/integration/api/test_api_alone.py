"""The API without any dataflow: its records on the log, its answers meanwhile, and its behaviour in an outage."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from api.auth.keys import generate_pem
from api.fairness.limits import REDIS_TIMEOUT_S
from api.fairness.rate_limits import READS, REFUSALS
from connectors.settings import Settings
from connectors.topics import apply_topics
from ops.run.services.process import free_port, wait_for
from ops.run.services.stack import Stack
from pipelines.history.receipts import Receipt, read, record_digest
from schemas.codec import Codec
from schemas.commands import ReserveTickets
from schemas.ids import ReservationId, UserId, fingerprint, reservation_id
from tests.harness.api_process import OPERATOR, READY_S, ApiProcess, api_command, api_process, environment
from tests.harness.flows import command_records, rows_of
from tests.harness.shop import done, problem, unique
from tests.harness.skewed_redis import BYTES_AT_ONCE, SkewedRedis
from tests.harness.stopped_at_once import STEPS

EVENT_ID, TYPE_ID = str(uuid4()), str(uuid4())


@pytest.fixture
def api(settings: Settings, tmp_path: Path) -> Iterator[ApiProcess]:
    with api_process(settings, tmp_path) as running:
        yield running


def test_a_reservation_is_one_command_with_its_key_and_headers(api: ApiProcess, settings: Settings) -> None:
    buyer, key = api.person(str(uuid4())), unique()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    response = buyer.post(
        f"/v1/events/{EVENT_ID.upper()}/reservations",
        key=key,
        prefer="wait=1",
        headers={"traceparent": trace},
        json={"ticket_type_id": TYPE_ID, "seats": ["A-1", "A-2"]},
    )
    accepted = done(response, 202)
    identity = reservation_id(UserId(buyer.id), key)
    assert accepted["id"] == identity
    assert response.headers["location"] == f"/v1/reservations/{identity}"
    (record,) = command_records(settings)
    assert accepted["position"] == {"partition": record.partition(), "offset": record.offset()}
    assert record.key() == EVENT_ID.encode()
    command = Codec().decode(record.value())
    assert isinstance(command, ReserveTickets)
    assert (command.event_id, command.user_id, command.reservation_id) == (EVENT_ID, buyer.id, identity)
    assert (command.ticket_type_id, command.quantity, command.seats) == (TYPE_ID, 2, ["A-1", "A-2"])
    assert command.fingerprint == fingerprint(TYPE_ID, 2, ["A-1", "A-2"])
    headers = dict(record.headers() or [])
    assert headers["ce_id"] == command.command_id.encode()
    assert headers["ce_type"] == b"ReserveTickets"
    assert (headers["ce_specversion"], headers["ce_source"]) == (b"1.0", b"/circle/api")
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", headers["ce_time"])
    assert headers["reply_to"].startswith(b"circle:replies:")
    assert headers["traceparent"] == trace.encode()
    digest = record_digest(EVENT_ID.encode(), record.value() or b"")
    assert read(accepted["receipt"], api.public_keys) == Receipt(record.partition() or 0, record.offset() or 0, digest)


class DeafToSubscriptions(SkewedRedis):
    """A way to Redis on which no subscription is confirmed."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.given_up = threading.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self._target.hostname, self._target.port)
        try:
            while data := await reader.read(BYTES_AT_ONCE):
                if b"SUBSCRIBE" in data:
                    await reader.read()
                    self.given_up.set()
                    return
                there[1].write(data)
                writer.write(await there[0].read(BYTES_AT_ONCE))
        finally:
            writer.close()
            there[1].close()


def test_a_process_answers_when_it_hears_replies_or_has_tried_to(settings: Settings, tmp_path: Path) -> None:
    """A reply that comes before the subscription is lost, so a request that comes earlier would wait in vain."""
    key_file, port = tmp_path / "jwt.pem", free_port()
    key_file.write_bytes(generate_pem())
    with DeafToSubscriptions(settings.redis_url) as deaf:
        env = environment(settings, key_file, CIRCLE_REDIS_URL=deaf.url)
        process = subprocess.Popen(api_command("ops.cli.main", port, 1), env=env, stdout=subprocess.DEVNULL)
        try:
            failure = wait_for(lambda: answers(port), timeout_s=READY_S)
            assert failure is None
            assert deaf.given_up.wait(REDIS_TIMEOUT_S), "the first attempt, of twice that time, is over"
        finally:
            process.terminate()
            process.wait(30)


def answers(port: int) -> bool:
    """Whether a request gets an answer. The kernel takes connections before the process does."""
    with socket.socket() as connection:
        connection.settimeout(READY_S)
        if connection.connect_ex(("127.0.0.1", port)):
            return False
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        return connection.recv(1) != b""


def test_what_is_not_decided_yet_is_pending_to_its_owner_only(api: ApiProcess) -> None:
    buyer = api.person(str(uuid4()))
    accepted = done(buyer.reserve(EVENT_ID, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1), 202)
    path = f"/v1/reservations/{accepted['id']}"
    found = done(buyer.get(path, prefer="wait=1"), 200)
    assert (found["id"], found["status"], found["position"]) == (accepted["id"], "pending", accepted["position"])
    problem(api.person(str(uuid4())).get(path, prefer="wait=0"), 404, "reservation-not-found")
    unknown = reservation_id(UserId(buyer.id), "never used")
    problem(buyer.get(f"/v1/reservations/{unknown}", prefer="wait=0"), 404, "reservation-not-found")


def test_the_wait_that_is_asked_for_is_kept(api: ApiProcess) -> None:
    buyer = api.person(str(uuid4()))
    for prefer, least, most in (("wait=1", 1.0, 3.0), (None, 2.0, 4.0), ("respond-async", 0.0, 0.9)):
        started = time.monotonic()
        done(buyer.reserve(EVENT_ID, prefer=prefer, ticket_type_id=TYPE_ID, quantity=1), 202)
        assert least <= time.monotonic() - started < most


def test_a_wait_longer_than_the_request_timeout_is_kept(api: ApiProcess) -> None:
    started = time.monotonic()
    buyer = api.person(str(uuid4()))
    done(buyer.reserve(EVENT_ID, prefer="wait=13", ticket_type_id=TYPE_ID, quantity=1), 202)
    assert 13 <= time.monotonic() - started < 16


def test_a_client_that_leaves_while_it_waits_harms_nobody(api: ApiProcess) -> None:
    buyer = api.person(str(uuid4()))

    def leave(_: int) -> None:
        with httpx.Client(base_url=api.http.base_url, timeout=0.3) as http, pytest.raises(httpx.TimeoutException):
            http.post(
                f"/v1/events/{EVENT_ID}/reservations",
                headers=buyer.headers | {"idempotency-key": unique(), "prefer": "wait=30"},
                json={"ticket_type_id": TYPE_ID, "quantity": 1},
            )

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(leave, range(20)))
    waiting = "circle_api_requests_waiting 0.0"
    assert wait_for(lambda: waiting in api.http.get("/metrics", headers=OPERATOR).text, timeout_s=10) is None
    done(buyer.reserve(EVENT_ID, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1), 202)


def test_without_postgres_reservations_go_on_and_reads_are_503(api: ApiProcess, stack: Stack) -> None:
    buyer = api.person(str(uuid4()))
    done(buyer.get("/v1/events"), 200)
    stack.postgres.stop()
    try:
        done(buyer.reserve(EVENT_ID, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1), 202)
        for path in ("/v1/events", f"/v1/events/{EVENT_ID}", "/v1/reservations", "/v1/tickets", "/v1/notifications"):
            response = buyer.get(path)
            assert problem(response, 503, "unavailable")["service"] == "postgres"
            assert response.headers["retry-after"] == "1"
        login = {"email": "ada@example.org", "password": "correct-horse-7"}
        problem(api.http.post("/v1/auth/login", json=login), 503, "unavailable")
        checks = problem(api.http.get("/readyz"), 503, "unavailable")["checks"]
        assert {name: check["ok"] for name, check in checks.items()} == {
            "kafka": True,
            "redis": True,
            "postgres": False,
        }
        done(api.http.get("/healthz"), 200)
    finally:
        stack.postgres.start()
    assert wait_for(lambda: buyer.get("/v1/events").status_code == 200, timeout_s=10) is None


def test_without_redis_reservations_go_on(api: ApiProcess, stack: Stack) -> None:
    buyer = api.person(str(uuid4()))
    stack.valkey.stop()
    try:
        done(buyer.reserve(EVENT_ID, prefer="wait=1", ticket_type_id=TYPE_ID, quantity=1), 202)
        assert problem(api.http.get("/readyz"), 503, "unavailable")["checks"]["redis"]["ok"] is False
    finally:
        stack.valkey.start()
    assert wait_for(lambda: api.http.get("/readyz").status_code == 200, timeout_s=15) is None


def test_without_the_broker_requests_are_503_and_the_same_key_works_afterwards(
    api: ApiProcess, stack: Stack, settings: Settings
) -> None:
    buyer, key = api.person(str(uuid4())), unique()
    done(buyer.reserve(EVENT_ID, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1), 202)
    stack.kafka.stop()
    try:
        started = time.monotonic()
        response = buyer.reserve(EVENT_ID, key=key, ticket_type_id=TYPE_ID, quantity=1)
        problem(response, 503, "not-acknowledged")
        assert int(response.headers["retry-after"]) >= 1
        assert time.monotonic() - started < 8
        assert problem(api.http.get("/readyz"), 503, "unavailable")["checks"]["kafka"]["ok"] is False
    finally:
        stack.kafka.start()
    apply_topics(settings, partitions=settings.partitions)

    def accepted() -> bool:
        again = buyer.reserve(EVENT_ID, key=key, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1)
        assert again.status_code in (202, 503)
        return again.status_code == 202

    assert wait_for(accepted, timeout_s=30) is None
    found = [Codec().decode(record.value()) for record in command_records(settings)]
    assert {ReservationId(one.reservation_id) for one in found if isinstance(one, ReserveTickets)} == {
        reservation_id(UserId(buyer.id), key)
    }


def test_a_paused_broker_is_503_and_not_a_hanging_request(api: ApiProcess, stack: Stack) -> None:
    buyer = api.person(str(uuid4()))
    done(buyer.reserve(EVENT_ID, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1), 202)
    stack.kafka.pause()
    try:
        with ThreadPoolExecutor(10) as pool:
            started = time.monotonic()
            reserve = lambda _: buyer.reserve(EVENT_ID, ticket_type_id=TYPE_ID, quantity=1)  # noqa: E731
            answers = list(pool.map(reserve, range(10)))
            assert time.monotonic() - started < 10
    finally:
        stack.kafka.resume()
    for answer in answers:
        problem(answer, 503, "not-acknowledged")

    def accepted() -> bool:
        response = buyer.reserve(EVENT_ID, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1)
        return response.status_code == 202

    assert wait_for(accepted, timeout_s=30) is None


def test_past_the_rate_the_answer_is_429_with_retry_after(settings: Settings, tmp_path: Path) -> None:
    with api_process(settings, tmp_path, CIRCLE_RATE_LIMIT_SCALE="0.05") as api:
        refresh = [api.http.post("/v1/auth/refresh", json={"refresh_token": "x"}) for _ in range(8)]
        assert [answer.status_code for answer in refresh] == [401] * 5 + [429] * 3
        document = problem(refresh[-1], 429, "rate-limited")
        assert int(refresh[-1].headers["retry-after"]) >= document["retry_after_s"]
        ada, bob = api.person(str(uuid4())), api.person(str(uuid4()))
        writes = [ada.reserve(EVENT_ID, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1) for _ in range(8)]
        assert 429 in {answer.status_code for answer in writes}
        done(bob.reserve(EVENT_ID, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1), 202)
    assert len(command_records(settings)) == sum(answer.status_code == 202 for answer in writes) + 1


def test_who_reads_without_end_is_refused_and_then_waits_for_each_refusal(settings: Settings, tmp_path: Path) -> None:
    path = "/v1/notifications/unread-count"
    with api_process(settings, tmp_path, CIRCLE_RATE_LIMIT_SCALE="0.05") as api:
        greedy, modest = api.person(str(uuid4())), api.person(str(uuid4()))
        started = time.monotonic()
        answers = [greedy.get(path) for _ in range(75)]
        elapsed = time.monotonic() - started
        done(modest.get(path), 200)
        assert api.http.get("/healthz").status_code == 200
    statuses = [answer.status_code for answer in answers]
    served = statuses.count(200)
    burst, a_second = int(READS.burst * 0.05), READS.per_s * 0.05
    assert statuses[:burst] == [200] * burst
    assert served <= burst + a_second * elapsed + 1
    refused = len(answers) - served
    assert elapsed >= (refused - REFUSALS.burst * 0.05) / (REFUSALS.per_s * 0.05) - 1
    assert refused > REFUSALS.burst * 0.05, "some of the refusals had to wait"
    assert "reads of one user" in problem(answers[statuses.index(429)], 429, "rate-limited")["detail"]


def test_who_guesses_the_operators_token_is_refused_with_429(settings: Settings, tmp_path: Path) -> None:
    with api_process(settings, tmp_path, CIRCLE_RATE_LIMIT_SCALE="0.05") as api:
        wrong = {"authorization": "Bearer not-the-operators"}
        # A new connection without an earlier request.
        answers = [httpx.get(f"{api.http.base_url}/metrics", headers=wrong) for _ in range(4)]
    assert answers[0].status_code == 401
    problem(answers[-1], 429, "rate-limited")


def test_a_login_flood_is_bounded_and_sales_go_on_beside_it(api: ApiProcess) -> None:
    buyer = api.person(str(uuid4()))

    def login(number: int) -> int:
        body = {"email": f"{number}@example.org", "password": "wrong-horse-7"}
        return http.post("/v1/auth/login", json=body).status_code

    limits = httpx.Limits(max_connections=150)
    with (
        httpx.Client(base_url=api.http.base_url, timeout=40, limits=limits) as http,
        ThreadPoolExecutor(150) as pool,
    ):
        flood = [pool.submit(login, number) for number in range(150)]
        started = time.monotonic()
        done(buyer.reserve(EVENT_ID, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1), 202)
        assert time.monotonic() - started < 2
        statuses = {one.result() for one in flood}
    assert statuses <= {401, 503}
    assert 401 in statuses


@pytest.mark.parametrize("partition", [0, 1, 2, 7, 21, 1_000])
def test_the_message_of_the_registration_is_the_oldest_also_beside_the_first_of_a_partition(
    api: ApiProcess, settings: Settings, partition: int
) -> None:
    account = {"email": f"{uuid4().hex}@example.org", "password": "correct-horse-7", "name": "Ada"}
    buyer = api.person(done(api.http.post("/v1/auth/register", json=account), 201)["id"])
    with rows_of(settings) as query:
        for offset in (0, 1):
            query(
                'INSERT INTO notifications (user_id, partition, "offset", "index", channel, template, kind, event_id, '
                "reservation_id, data, created_at, outbound_partition, outbound_offset) "
                "VALUES ($1, 0, $2, 0, 'inbox', 'staff.added', 'staff.added', '', '', '{}', 5, $3, $2)",
                buyer.id, offset, partition,
            )  # fmt: skip
    items = done(buyer.get("/v1/notifications"), 200)["items"]
    assert [one["kind"] for one in items] == ["staff.added", "staff.added", "registered"]
    paged, cursor = [], ""
    for _ in items:
        page = done(buyer.get(f"/v1/notifications?limit=1{cursor}"), 200)
        paged += page["items"]
        cursor = f"&cursor={page['next_cursor']}"
    assert paged == items
    assert page["next_cursor"] is None


def test_sigterm_stops_the_process_with_0(api: ApiProcess) -> None:
    buyer = api.person(str(uuid4()))
    with buyer.http.stream("GET", "/v1/notifications/stream", headers=buyer.headers) as stream:
        assert stream.status_code == 200
        started = time.monotonic()
        assert api.stop() == 0
        assert time.monotonic() - started < 8


@pytest.mark.parametrize("query", ["", "?takes=sanics-way"])
def test_a_reservation_under_way_is_answered_before_the_process_stops(api: ApiProcess, query: str) -> None:
    """By the slim way of hot routes and by Sanic's: the client hears that its command is on the log."""
    buyer = api.person(str(uuid4()))
    path = f"/v1/events/{EVENT_ID}/reservations{query}"
    body = {"ticket_type_id": TYPE_ID, "quantity": 1}
    with ThreadPoolExecutor(5) as pool:
        sent = [pool.submit(buyer.post, path, key=unique(), prefer="wait=3", json=body) for _ in range(5)]
        waiting = "circle_api_requests_waiting 5.0"
        assert wait_for(lambda: waiting in api.http.get("/metrics", headers=OPERATOR).text, timeout_s=10) is None
        assert api.stop() == 0
        answers = [one.result() for one in sent]
    for answer in answers:
        assert done(answer, 202)["receipt"]
        assert answer.headers["connection"] in ("close", "keep-alive")


@pytest.mark.parametrize("step", STEPS)
def test_a_sigterm_during_the_start_is_not_lost(settings: Settings, tmp_path: Path, step: str) -> None:
    env = environment(settings, tmp_path / "jwt.pem", CIRCLE_TEST_STOP_AT=step)
    (tmp_path / "jwt.pem").write_bytes(generate_pem())
    command = api_command("tests.harness.stopped_at_once", free_port(), workers=1)
    assert subprocess.run(command, env=env, timeout=READY_S, check=False).returncode == 0


def test_sigterm_before_redis_has_answered_stops_it_with_0_too(settings: Settings, tmp_path: Path) -> None:
    with api_process(settings, tmp_path, CIRCLE_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0") as api:
        assert api.stop() == 0, api.log.read_text()


def test_two_workers_serve_as_one(settings: Settings, tmp_path: Path) -> None:
    with api_process(settings, tmp_path, workers=2) as api:
        for _ in range(20):
            with httpx.Client(base_url=api.http.base_url) as http:
                assert http.get("/healthz").status_code == 200
        buyer = api.person(str(uuid4()))
        done(buyer.reserve(EVENT_ID, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1), 202)
        counted = re.search(
            r'circle_http_requests_total\{method="GET",route="/healthz",status="200"\} (\d+)',
            api.http.get("/metrics", headers=OPERATOR).text,
        )
        assert counted is not None
        assert int(counted[1]) >= 20
        assert api.stop() == 0


def test_a_port_in_use_is_told_with_exit_code_3(api: ApiProcess) -> None:
    port = str(api.http.base_url.port)
    second = subprocess.run(
        [sys.executable, "-m", "ops.cli.main", "api", "--port", port], capture_output=True, text=True, timeout=30
    )
    assert second.returncode == 3
    assert port in second.stderr
    assert "Traceback" not in second.stderr


def test_by_the_operators_port_figures_need_no_token_and_by_the_other_one_they_do(
    settings: Settings, tmp_path: Path
) -> None:
    port = free_port()
    with (
        api_process(settings, tmp_path, CIRCLE_OPERATOR_PORT=str(port), CIRCLE_OPERATOR_TOKEN="") as api,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as inside,
    ):
        for path in ("/metrics", "/dashboard"):
            problem(api.http.get(path), 401, "unauthorized")
            assert inside.get(path).status_code == 200
        assert "details" not in done(api.http.get("/readyz"), 200)
        assert "details" in done(inside.get("/readyz"), 200)
        assert api.stop() == 0
