"""A stranger who can write to Redis and read every message there cannot make the API say or sign anything false."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import msgspec
import pytest
from redis import Redis

from api.log.announcements import Announced, AnnouncedWrite
from connectors.settings import Settings
from ops.run.services.process import wait_for
from schemas.replies import Reply, ReservationView, encode_replies, sealed
from tests.harness.api_process import OPERATOR_TOKEN, ApiProcess, api_process
from tests.harness.flows import command_records as records
from tests.harness.shop import Person, done, problem

EVENT_ID, TYPE_ID, TICKET_ID = str(uuid4()), str(uuid4()), str(uuid4())


@pytest.fixture(scope="module")
def api(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    with api_process(module_settings, tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def redis(module_settings: Settings) -> Iterator[Redis]:
    with Redis.from_url(module_settings.redis_url) as client:
        yield client


def channel(redis: Redis) -> str:
    """The process's channel for replies; Redis shows it to every client."""
    found: list[bytes] = []

    def listens() -> bool:
        found[:] = redis.pubsub_channels("circle:replies:*")  # type: ignore[no-untyped-call]
        return bool(found)

    assert wait_for(listens, timeout_s=15) is None
    return found[0].decode()


def confirmed(buyer: Person, reservation: str, command_id: str) -> bytes:
    """The reservations dataflow's reply about a paid reservation."""
    view = ReservationView(
        id=reservation,
        event_id=EVENT_ID,
        user_id=buyer.id,
        ticket_type_id=TYPE_ID,
        status="confirmed",
        quantity=1,
        seats=[],
        amount_minor=4_500,
        currency="EUR",
        expires_at=0,
        partition=0,
        offset=0,
        payment="captured",
        reason="",
        detail="",
        ticket_ids=[TICKET_ID],
    )
    return encode_replies(
        [
            Reply(
                command_id=command_id,
                event_id=EVENT_ID,
                partition=0,
                offset=0,
                outcome="accepted",
                reason="",
                detail="",
                duplicate=False,
                reservation=view,
            )
        ]
    )


class Confirming:
    """A buyer who waits for the outcome of a payment. No dataflow runs here, so it is never decided."""

    def __init__(self, api: ApiProcess, settings: Settings, pool: ThreadPoolExecutor, prefer: str) -> None:
        self.buyer = api.person(str(uuid4()))
        held = self.buyer.reserve(EVENT_ID, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1)
        self.reservation = str(done(held, 202)["id"])
        before = len(records(settings))
        path = f"/v1/reservations/{self.reservation}/confirm"
        self.answer = pool.submit(
            self.buyer.post, path, key=str(uuid4()), prefer=prefer, json={"payment_token": "tok_ok"}
        )
        assert wait_for(lambda: len(records(settings)) > before, timeout_s=15) is None
        headers = dict(records(settings)[-1].headers() or [])
        self.command_id, self.key = headers["ce_id"].decode(), headers["reply_key"]  # type: ignore[union-attr]


def forged(api: ApiProcess) -> float:
    """The number of messages that the process has dropped."""
    headers = {"authorization": f"Bearer {OPERATOR_TOKEN}"}
    lines = httpx.get(f"{api.http.base_url}/metrics", headers=headers).text.splitlines()
    return float(next(line for line in lines if line.startswith("circle_api_messages_forged_total")).split()[1])


def test_a_forged_reply_signs_no_ticket_and_a_rightly_sealed_one_does(
    api: ApiProcess, module_settings: Settings, redis: Redis
) -> None:
    to = channel(redis)
    with ThreadPoolExecutor(2) as pool:
        waiting = Confirming(api, module_settings, pool, "wait=3")
        lie = confirmed(waiting.buyer, waiting.reservation, waiting.command_id)
        before = forged(api)
        lies = [lie, sealed(lie, b"guessed-guessed-guesse"), bytes(16) + lie, lie[:3], b""]
        for data in lies:
            redis.publish(to, data)
        response = waiting.answer.result()
        assert response.status_code == 202, response.text
        assert "code" not in response.text
        assert forged(api) == before + len(lies)

        waiting = Confirming(api, module_settings, pool, "wait=20")
        reply = sealed(confirmed(waiting.buyer, waiting.reservation, waiting.command_id), waiting.key)
        redis.publish(to, reply)
        assert done(waiting.answer.result(), 200)["tickets"][0]["id"] == TICKET_ID

        later = Confirming(api, module_settings, pool, "wait=2")
        redis.publish(to, reply)  # the reply to another request
        assert later.answer.result().status_code == 202
    assert forged(api) == before + len(lies)


def test_forged_news_of_sessions_and_writes_are_dropped(api: ApiProcess, redis: Redis) -> None:
    to = channel(redis)
    buyer, session = api.person(str(uuid4())), str(uuid4())
    accepted = done(buyer.reserve(EVENT_ID, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1), 202)
    before = forged(api)
    redis.publish("circle:sessions", msgspec.json.encode([session]))
    lie = AnnouncedWrite(
        user_id=str(uuid4()), event_id=EVENT_ID, reservation_id=accepted["id"], partition=0, offset=2**40
    )
    redis.publish("circle:written", msgspec.msgpack.encode(Announced("another", [lie])))
    redis.publish(to, b"the last of these")
    assert wait_for(lambda: forged(api) == before + 3, timeout_s=15) is None
    assert done(buyer.get(f"/v1/reservations/{accepted['id']}", prefer="wait=0"), 200)["status"] == "pending"
    problem(api.person(lie.user_id).get(f"/v1/reservations/{accepted['id']}", prefer="wait=0"), 404,
            "reservation-not-found")  # fmt: skip


def test_a_process_that_has_another_key_is_a_stranger(
    api: ApiProcess, module_settings: Settings, tmp_path_factory: pytest.TempPathFactory, redis: Redis
) -> None:
    before = forged(api)
    channel(redis)
    scratch: Path = tmp_path_factory.mktemp("stranger")
    with api_process(module_settings, scratch) as stranger:  # a key of its own: it is no process of ours
        buyer = stranger.person(str(uuid4()))
        done(buyer.reserve(EVENT_ID, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1), 202)
        assert wait_for(lambda: forged(api) > before, timeout_s=15) is None
