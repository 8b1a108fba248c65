"""The slim way of hot routes gives the same answers as Sanic's way, byte for byte, over the whole platform.

One API process has two ports, one for each way. A case is sent to both: each way has its own buyer, its own stranger
and its own event, so both sides see the same state.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import pytest

from api.auth.keys import KeyRing, generate_pem
from api.auth.tokens import AccessTokens, Role
from ops.run.platform import Platform
from schemas.ids import ReservationId, UserId, reservation_id
from tests.e2e.test_http_bad_input import BAD_RESERVATIONS
from tests.harness.edge import everything, statuses
from tests.harness.flows import eventually
from tests.harness.shop import GENERAL, OnSale, Person, Shop, done, open_shop, unique
from tests.harness.suspended import suspended
from tests.harness.two_ways import BothWays, both_ways

ORIGIN = "https://tickets.example.org"
ID = "8a7f1f0e-5a7a-4a8e-9f0a-0123456789ab"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PATIENCE_S = 40.0
GOOD = '{"ticket_type_id":"<general>","quantity":2}'
SEATS = '{"ticket_type_id":"<seated>","seats":["A-1","A-2"]}'
JSON = "Content-Type: application/json\r\n"
AUTH = "Authorization: Bearer <token>\r\n"
LAST = "GET /v1/reservations/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"  # ends the connection

# What differs by nature: ids, and signatures over them; positions; times.
VARIES = (
    (re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"), "<id>"),
    (re.compile(r'"(code|receipt)":"[^"]+"'), r'"\1":"<signed>"'),
    (re.compile(r"^circle-receipt: [^\r]+", re.MULTILINE), "circle-receipt: <signed>"),
    (re.compile(r'"partition":\d+,"offset":\d+'), '"partition":0,"offset":0'),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), "<time>"),
    (re.compile(r"^date: [^\r]+", re.MULTILINE), "date: <date>"),
    (re.compile(r"\(\d+\)"), "(0)"),
)
LENGTH = re.compile(r"^content-length: (\d+)", re.MULTILINE)  # checked by itself: positions have more or fewer digits


@dataclass(frozen=True)
class Side:
    """One way: its port, its buyer and stranger, its event, tokens that are not valid, and `others`: further ids by
    name."""

    port: int
    buyer: Person
    stranger: Person
    event: OnSale
    expired: str
    foreign: str
    others: dict[str, str]

    def fill(self, text: str) -> bytes:
        """The text with this side's ids, tokens and reservations: `<hold KEY>` is the buyer's with that key."""
        names = {
            "event": self.event.id,
            "general": self.event.general,
            "seated": self.event.seated,
            "token": self.buyer.access_token,
            "stranger": self.stranger.access_token,
            "expired": self.expired,
            "foreign": self.foreign,
            **self.others,
        }
        for name, value in names.items():
            text = text.replace(f"<{name}>", value)
        found = re.sub(r"<hold (\S+)>", lambda match: self.named(match[1]), text)
        return found.encode("latin-1")

    def named(self, key: str) -> ReservationId:
        """The buyer's reservation with that key."""
        return reservation_id(UserId(self.buyer.id), key)

    def send(self, text: str, *, at_once: int) -> str:
        """Everything that comes back for this text, sent in pieces of `at_once` bytes."""
        data = self.fill(text)
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, len(data), at_once):
                connection.sendall(data[start : start + at_once])
            return everything(connection).decode("latin-1")


@dataclass(frozen=True)
class Ways:
    """Both ways of one process, and the platform behind it."""

    slim: Side
    sanic: Side
    process: BothWays
    platform: Platform

    @property
    def worker(self) -> int | None:
        """The process that decides."""
        return self.platform.supervisor.pid("reservations-1")

    def both(self, text: str, *, at_once: int = 1 << 20) -> tuple[str, int]:
        """The answers, which are the same both ways, and how many of them took the slim way."""
        before = self.process.taken
        slim = self.slim.send(text, at_once=at_once)
        taken = self.process.taken - before
        sanic = self.sanic.send(text, at_once=at_once)
        assert self.process.taken == before + taken, "the other port took the slim way"
        assert alike(slim) == alike(sanic)
        return slim, taken


def alike(answers: str) -> str:
    """The answers without what differs by nature, each with the length that it says."""
    checked = []
    for answer in split(answers):
        head, _, body = answer.partition("\r\n\r\n")
        if not head.startswith("HTTP/1.1 100 "):
            length = LENGTH.search(head)
            assert length is not None
            assert int(length[1]) == len(body)
        checked.append(LENGTH.sub("content-length: <length>", answer))
    return leveled("\n".join(checked))


def leveled(text: str) -> str:
    """The text without what differs by nature."""
    for pattern, instead in VARIES:
        text = pattern.sub(instead, text)
    return text


def split(answers: str) -> list[str]:
    """The answers that follow each other."""
    found = []
    while answers:
        head, separator, rest = answers.partition("\r\n\r\n")
        length = LENGTH.search(head)
        size = int(length[1]) if length is not None else 0
        found.append(head + separator + rest[:size])
        answers = rest[size:]
    return found


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    scratch = tmp_path_factory.mktemp("ways")
    with open_shop() as (platform, shop), both_ways(platform, scratch, CIRCLE_CORS_ORIGINS=ORIGIN) as process:
        organizer = shop.organizer()
        (scratch / "other.pem").write_bytes(generate_pem())
        own, others = (AccessTokens(KeyRing.load(one)) for one in (key_file(platform), scratch / "other.pem"))

        def side(port: int) -> Side:
            buyer = shop.person()
            return Side(
                port=port,
                buyer=buyer,
                stranger=shop.person(),
                event=shop.event(organizer, max_tickets_per_user=20),
                expired=own.issue(buyer.id, Role.BUYER, ttl_s=-1),
                foreign=others.issue(buyer.id, Role.BUYER),
                others=further_events(shop, organizer),
            )

        yield Ways(side(process.slim), side(process.sanic), process, platform)


def further_events(shop: Shop, organizer: Person) -> dict[str, str]:
    """Events by name, and of each its general ticket type as "NAME type": "scarce" has one place, "early" is not yet on
    sale, "late" no more, "over" is cancelled, "brief" has holds of a second, "cheap" has the code HALF."""
    terms: dict[str, dict[str, object]] = {
        "scarce": {},
        "early": {"sales_open_at": "2029-01-01T00:00:00Z"},
        "late": {"sales_close_at": "2021-01-01T00:00:00Z"},
        "over": {},
        "brief": {"hold_ttl_s": 1},
        "cheap": {},
    }
    found = {}
    for name, changes in terms.items():
        event = shop.event(organizer, **changes)
        found |= {name: event.id, f"{name} type": event.general}
    path = f"/v1/events/{found['scarce']}/ticket-types"
    one = GENERAL | {"layout": {"kind": "general", "capacity": 1}}
    found["scarce type"] = done(organizer.post(path, prefer="wait=20", json=one), 201)["id"]
    done(organizer.post(f"/v1/events/{found['over']}/cancel", prefer="wait=20", json={"reason": "Rain."}), 200)
    code = {"code": "HALF", "kind": "percent", "value": 50}
    done(organizer.post(f"/v1/events/{found['cheap']}/codes", prefer="wait=20", json=code), 201)
    return found


def key_file(platform: Platform) -> Path:
    found = platform.settings.jwt_key_file
    assert found is not None
    return found


def post(
    path: str = "/v1/events/<event>/reservations",
    body: str = GOOD,
    *,
    key: str = "",
    prefer: str = "wait=20",
    fields: str = JSON + AUTH,
    version: str = "1.1",
    method: str = "POST",
) -> str:
    """A request that keeps its connection. Without a key it has no Idempotency-Key."""
    named = f"Idempotency-Key: {key}\r\n" if key else ""
    length = f"Content-Length: {len(sized(body))}\r\n"
    return f"{method} {path} HTTP/{version}\r\nHost: x\r\nPrefer: {prefer}\r\n{fields}{named}{length}\r\n{body}"


def sized(body: str) -> str:
    """A body as long as the filled one: every name in it stands for an id."""
    return re.sub(r"<[\w ]+>", ID, body)


@dataclass(frozen=True)
class Case:
    """One text, the statuses that it gets, and how many of its requests take the slim way."""

    name: str
    text: str
    statuses: list[int]
    slim: int
    at_once: int = 1 << 20
    has: list[str] = field(default_factory=list)


def confirm(key: str, body: str = '{"payment_token":"tok_ok"}', *, of: str, **options: str) -> str:
    return post(f"/v1/reservations/<hold {of}>/confirm", body, key=key, **options)


def at(name: str, key: str, more: str = "", *, quantity: int = 1, prefer: str = "wait=20", token: str = AUTH) -> str:
    """A request for places of one of the `further_events`. `more` has further fields of the body."""
    body = f'{{"ticket_type_id":"<{name} type>","quantity":{quantity}{more}}}'
    return post(f"/v1/events/<{name}>/reservations", body, key=key, prefer=prefer, fields=JSON + token)


STRANGER = "Authorization: Bearer <stranger>\r\n"
CASES = [
    # outcomes, in this order: later ones need the earlier ones
    Case("a hold", post(key="h1"), [201], 1, has=["location: /v1/reservations/", '"status":"held"']),
    Case("the same key again", post(key="h1"), [201], 1, has=["idempotency-replayed: true"]),
    Case("the same key, another request", post(body=SEATS, key="h1"), [422], 1, has=["idempotency-key-reused"]),
    Case("named seats", post(body=SEATS, key="h2"), [201], 1, has=['"seats":["A-1","A-2"]']),
    Case("a taken seat", post(body=SEATS, key="h3"), [409], 1, has=["/problems/seat-taken"]),
    Case("a seat that is not there", post(body=SEATS.replace("A-1", "Z-9"), key="h4"), [409], 1),
    Case("with a receipt", post(key="h5", prefer="wait=20, receipt"), [201], 1, has=["circle-receipt: "]),
    Case("only the acknowledgement", post(key="h6", prefer="respond-async"), [202], 1, has=['"receipt":"']),
    Case("a trace", post(key="h7", fields=JSON + AUTH + f"traceparent: {TRACE}\r\n"), [201], 1),
    Case("ids in upper case", post("/v1/events/<event>/reservations", GOOD, key="h8").replace("<event>", ID.upper()),
         [404], 1),
    Case("an event that does not exist", post(f"/v1/events/{ID}/reservations", key="h9"), [404], 1),
    Case("a ticket type that does not exist", post(body=GOOD.replace("<general>", ID), key="h10"), [404], 1),
    Case("more than one buyer may have", post(body=GOOD.replace("2}", "10}") , key="h11") , [201], 1),
    Case("and more", post(body=GOOD.replace("2}", "10}"), key="h12"), [409], 1, has=["/problems/limit-exceeded"]),
    Case("a wrong promotion code", post(body=GOOD[:-1] + ',"promo_code":"NOPE"}', key="h13"), [409], 1),
    Case("another origin", post(key="h1", fields=JSON + AUTH + f"Origin: {ORIGIN}\r\n"), [201], 1,
         has=[f"access-control-allow-origin: {ORIGIN}"]),
    Case("an unknown origin", post(key="h1", fields=JSON + AUTH + "Origin: https://else.example\r\n"), [201], 1,
         has=["vary: origin"]),
    Case("a declined card", confirm("c1", '{"payment_token":"tok_declined"}', of="h2"), [402], 1),
    Case("a confirmation", confirm("c2", of="h2"), [200], 1, has=['"code":"']),
    Case("the same confirmation again", confirm("c2", of="h2"), [200], 1, has=["idempotency-replayed: true"]),
    Case("a second confirmation", confirm("c3", of="h2"), [200], 1),
    Case("a stranger confirms", confirm("c4", of="h1", fields=JSON + "Authorization: Bearer <stranger>\r\n"), [404], 1),
    Case("a confirmation of nothing", post(f"/v1/reservations/{ID}/confirm", "{}", key="c5"), [404], 1),
    Case("a confirmation without a body", confirm("c6", "", of="h1"), [422], 1, has=["payment_token"]),
    Case("a confirmation without a length", confirm("c6", "", of="h1").replace("Content-Length: 0\r\n", ""), [422], 1),
    # outcomes of other events
    Case("the last place", at("scarce", "o1"), [201], 1),
    Case("sold out", at("scarce", "o2"), [409], 1, has=["/problems/sold-out", '"as_of":']),
    Case("sold out, the same key again", at("scarce", "o2"), [409], 1, has=["/problems/sold-out"]),
    Case("sold out for another buyer", at("scarce", "o3", token=STRANGER), [409], 1, has=["/problems/sold-out"]),
    Case("sales are not open", at("early", "o4"), [409], 1, has=["/problems/sales-not-open"]),
    Case("sales are closed", at("late", "o5"), [409], 1, has=["/problems/sales-closed"]),
    Case("a cancelled event", at("over", "o6"), [409], 1, has=["/problems/event-cancelled"]),
    Case("a promotion", at("cheap", "o7", ',"promo_code":"HALF"', quantity=2), [201], 1, has=['"amount":1500']),
    Case("a promotion in small letters", at("cheap", "o8", ',"promo_code":"half"', quantity=2), [201], 1),
    Case("a confirmation with a bad body", confirm("c7", '{"payment_token":7}', of="h1"), [422], 1),
    # who asks
    Case("no token", post(key="t1", fields=JSON), [401], 1, has=["www-authenticate: Bearer"]),
    Case("no token, but an odd scheme", post(key="t2", fields=JSON + "Authorization: Basic eDp5\r\n"), [401], 1),
    Case("a token that is none", post(key="t3", fields=JSON + "Authorization: Bearer x.y.z\r\n"), [401], 1),
    Case("a token with a wrong signature", post(key="t4").replace("<token>", "<token>x"), [401], 1),
    Case("an expired token", post(key="t5").replace("<token>", "<expired>"), [401], 1, has=["has expired"]),
    Case("a token of another platform", post(key="t6").replace("<token>", "<foreign>"), [401], 1, has=["unknown key"]),
    # the key
    Case("no key", post(), [400], 1, has=["/problems/missing-header"]),
    Case("a key that is too long", post(key="k" * 256), [400], 1, has=["/problems/invalid-header"]),
    Case("a key that is not ASCII", post(key="k\xc3\xa9"), [400], 1, has=["/problems/invalid-header"]),
    Case("two keys", post(key="k1", fields=JSON + AUTH + "idempotency-key: k2\r\n"), [400], 0),
    # the body
    Case("no JSON", post(body="{", key="b1"), [400], 1, has=["/problems/malformed-json"]),
    Case("an empty body", post(body="", key="b2"), [400], 1),
    Case("wrong types", post(body=GOOD.replace("2}", '"2"}'), key="b3"), [422], 1, has=["quantity"]),
    Case("an unknown field", post(body=GOOD[:-1] + ',"user_id":1}', key="b4"), [422], 1),
    Case("a name twice", post(body=GOOD[:-1] + ',"quantity":3}', key="b5"), [422], 1),
    Case("bytes that are not UTF-8", post(body=GOOD.replace("<general>", "\xff"), key="b6"), [400], 1),
    Case("another media type", post(key="b7", fields=AUTH + "Content-Type: text/plain\r\n"), [415], 1),
    Case("no media type", post(key="h1", fields=AUTH), [201], 1),
    Case("the largest body", post(body=GOOD + " " * (65_536 - len(sized(GOOD))), key="h1"), [201], 1),
    Case("a body that is too large", post(body=GOOD + " " * 70_000, key="b9"), [413], 0, has=["connection: close"]),
    Case("a body in chunks", post(key="h1").partition("Content-Length")[0] + "Transfer-Encoding: chunked\r\n\r\n"
         "46\r\n" + GOOD + "\r\n0\r\n\r\n", [201], 0),
    # the head
    Case("GET", post(f"/v1/reservations/{ID}/confirm", method="GET", key="m1"), [405], 0, has=["Allow: POST"]),
    Case("PUT", post(method="PUT", key="m2"), [405], 0),
    Case("post in small letters", post(method="post", key="m3"), [405], 0),
    Case("a slash at the end", post("/v1/events/<event>/reservations/", key="h1"), [201], 0),
    Case("two slashes", post("//v1/events/<event>/reservations", key="p1"), [404], 0),
    Case("a query", post("/v1/events/<event>/reservations?x=y", key="h1"), [201], 0),
    Case("a fragment", post("/v1/events/<event>/reservations#x", key="p2"), [400], 0),
    Case("percent-encoding", post("/v1/events/<event>/%72eservations", key="p3"), [404], 0),
    Case("a percent-encoded id", post("/v1/events/%38a7f1f0e-5a7a-4a8e-9f0a-0123456789ab/reservations", key="p4"),
         [404], 0),
    Case("an id that is none", post("/v1/events/1/reservations", key="p5"), [404], 0),
    Case("a line feed in the path", post("/v1/events/<event>/reservations%0a", key="p6"), [404], 0),
    Case("an absolute target", post("http://x/v1/events/<event>/reservations", key="p7"), [400], 0),
    Case("HTTP/1.0", post(version="1.0", key="h1"), [201], 0, has=["connection: close"]),
    Case("HTTP/2.0", post(version="2.0", key="h1"), [400], 0),
    Case("no host", post(key="h1").replace("Host: x\r\n", ""), [400], 0),
    Case("the connection ends", post(key="h1", fields=JSON + AUTH + "Connection: close\r\n"), [201], 1,
         has=["connection: close"]),
    Case("it ends after an error", post(key="h1", fields=JSON + "Connection: close\r\n"), [401], 1),
    Case("Expect", post(key="h1", fields=JSON + AUTH + "Expect: 100-continue\r\n"), [201], 0,
         has=["HTTP/1.1 100 Continue"]),
    Case("an unknown Expect", post(key="h1", fields=JSON + AUTH + "Expect: more\r\n"), [417], 0),
    Case("an upgrade", post(key="h1", fields=JSON + AUTH + "Upgrade: websocket\r\nConnection: upgrade\r\n"), [201], 0),
    Case("two hosts", post(key="h1", fields=JSON + AUTH + "Host: y\r\n"), [400], 0),
    Case("a header twice", post(key="h1", fields=JSON + AUTH + "Accept: a\r\nAccept: b\r\n"), [201], 1),
    Case("a forged address", post(key="h1", fields=JSON + AUTH + "X-Forwarded-For: 1.2.3.4\r\n" * 2), [201], 1),
    Case("two preferences", post(key="h1", fields=JSON + AUTH + "Prefer: respond-async\r\n"), [201], 1),
    Case("a long header", post(key="h1", fields=JSON + AUTH + "X: " + "y" * 7_000 + "\r\n"), [201], 1),
    Case("a header that is too long", post(key="h1", fields=JSON + AUTH + "X: " + "y" * 8_192 + "\r\n"), [431], 0),
    Case("too many headers", post(key="h1", fields=JSON + AUTH + "X: y\r\n" * 101), [431], 0),
    Case("a bad header", post(key="h1", fields=JSON + AUTH + "X : y\r\n"), [400], 0),
    Case("a folded header", post(key="h1", fields=JSON + AUTH + "X: y\r\n z\r\n"), [400], 0),
    Case("two lengths", post(key="h1", fields=JSON + AUTH + "Content-Length: 71\r\n"), [400], 0),
    Case("a length with a sign", post(key="h1").replace("Length: ", "Length: +"), [400], 0),
    # several requests on a connection, and pieces
    Case("pipelined", post(key="h1") + post(body="{", key="s1") + post(key="h1", fields=JSON), [201, 400, 401], 3),
    Case("pipelined with others", LAST.replace("close", "keep-alive") + post(key="h1") + LAST.replace("close", "x"),
         [401, 201, 401], 1),
    Case("an empty line before", "\r\n" + post(key="h1"), [201], 1),
    Case("bytes one by one", post(key="h1") + post(body="[]", key="s2"), [201, 422], 2, at_once=1),
    Case("head and body apart", post(key="h1") + post(key="h1", fields=JSON), [201, 401], 2, at_once=150),
    Case("behind a bad request nothing is done", post(key="h1", fields="X : y\r\n") + post(key="h1"), [400], 0),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_ways_give_the_same_answer(ways: Ways, case: Case) -> None:
    answers, slim = ways.both(case.text + LAST, at_once=case.at_once)
    got = [one for one in split(answers) if not one.startswith("HTTP/1.1 100 ")]
    ends = "\r\nconnection: close\r\n" in got[len(case.statuses) - 1].partition("{")[0]
    assert [int(one[9:12]) for one in got] == case.statuses + ([] if ends else [401]), answers
    assert slim == case.slim, answers
    for text in case.has:
        assert text in answers


@pytest.mark.parametrize(("body", "slug", "field"), BAD_RESERVATIONS)
def test_both_ways_refuse_a_bad_body_alike(ways: Ways, body: bytes, slug: str, field: str) -> None:
    answers, slim = ways.both(post(body=body.decode("latin-1"), key="bad") + LAST)
    assert statuses(answers.encode("latin-1")) == [400 if slug == "malformed-json" else 422, 401]
    assert slim == 1
    assert f'"field":"{field}"' in answers


def test_both_ways_refuse_to_confirm_what_has_run_out(ways: Ways) -> None:
    ways.both(at("brief", "e1") + LAST)

    def over(side: Side) -> bool:
        shown = side.buyer.get(f"/v1/reservations/{side.named('e1')}")
        return bool(done(shown, 200)["status"] == "expired")

    eventually(lambda: over(ways.slim) and over(ways.sanic), "both holds have run out")
    answers, slim = ways.both(confirm("e2", of="e1") + LAST)
    assert (statuses(answers.encode("latin-1")), slim) == ([409, 401], 1)
    assert "/problems/hold-expired" in answers


def test_the_table_says_which_routes_are_hot(ways: Ways) -> None:
    """Another write of the same resource takes Sanic's way on both ports."""
    release = "DELETE /v1/reservations/<hold h5> HTTP/1.1\r\nHost: x\r\n" + AUTH + "Prefer: wait=20\r\n\r\n"
    answers, slim = ways.both(release + LAST)
    assert statuses(answers.encode("latin-1")) == [200, 401]
    assert slim == 0


def test_head_is_refused_both_ways(ways: Ways) -> None:
    text = "HEAD /v1/reservations/<hold h1>/confirm HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    slim, sanic = (side.send(text, at_once=len(text)) for side in (ways.slim, ways.sanic))
    assert slim.startswith("HTTP/1.1 405 ")
    assert leveled(slim) == leveled(sanic)


# --- while a process stands still: at the end, since what has waited is decided late


def test_both_ways_answer_202_when_the_wait_runs_out(ways: Ways) -> None:
    with suspended(ways.worker):
        answers, slim = ways.both(at("cheap", "w1", prefer="wait=1") + LAST)
        assert (statuses(answers.encode("latin-1")), slim) == ([202, 401], 1)
    answers, _ = ways.both(at("cheap", "w1") + LAST)
    assert statuses(answers.encode("latin-1")) == [201, 401], "the outcome came later"


def test_both_ways_refuse_alike_while_too_many_commands_are_undecided(ways: Ways, tmp_path: Path) -> None:
    """In a process that has few places. How long a buyer has to wait follows from who asked before, so the seconds may
    differ."""
    env = {"CIRCLE_CORS_ORIGINS": ORIGIN, "CIRCLE_TEST_UNDECIDED_LEAST": "1"}
    with both_ways(ways.platform, tmp_path, **env) as process, suspended(ways.worker):
        slim = refused_twice(replace(ways.slim, port=process.slim), ways.platform)
        taken = process.taken
        sanic = refused_twice(replace(ways.sanic, port=process.sanic), ways.platform)
        assert process.taken == taken > 0
    numbers = re.compile(r"\b\d+(?:\.\d+)?\b")
    assert numbers.sub("<number>", alike(slim)) == numbers.sub("<number>", alike(sanic))
    for found in (slim, sanic):
        assert statuses(found.encode("latin-1")) == [503, 429, 401]
        assert "/problems/busy" in found
        assert "/problems/rate-limited" in found
        assert len(re.findall(r"^retry-after: [1-9]\d*\r$", found, re.MULTILINE)) == 2


def refused_twice(side: Side, platform: Platform) -> str:
    """The answers to a buyer's request and its repetition, behind so many others that it gets no place."""
    tokens = AccessTokens(KeyRing.load(key_file(platform)))
    others, found = 6, ""

    def asked() -> str:
        token = tokens.issue(UserId(str(uuid4())), Role.BUYER)
        return at("cheap", unique(), prefer="respond-async", token=f"Authorization: Bearer {token}\r\n")

    def full() -> bool:
        nonlocal found
        answers = side.send("".join(asked() for _ in range(others)) + asked() * 2 + LAST, at_once=1 << 20)
        found = "".join(split(answers)[others:])
        return found.startswith("HTTP/1.1 503 ")

    eventually(full, "no further command gets a place")
    return found


def test_both_ways_say_that_the_log_has_not_acknowledged(ways: Ways) -> None:
    ways.platform.stack.kafka.pause()
    try:
        answers, slim = ways.both(at("cheap", "n1") + LAST)
        assert (statuses(answers.encode("latin-1")), slim) == ([503, 401], 1)
        assert "/problems/not-acknowledged" in answers
        assert "retry-after: " in answers
    finally:
        ways.platform.stack.kafka.resume()
