"""The buyers: most of them come at once, ask for 1 to 4 seats, pay or walk away, and try again when seats come free.

Everything is bounded: requests by attempts, attempts by the time the drop may take, connections by the client.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from ops.proof.checker import ToldOutcome
from ops.proof.demo.tally import OwnTicket, Tally
from ops.proof.load.accounts import Account
from ops.proof.load.http_client import NOT_DECIDED, HttpClient, NoAnswer, TimedResponse
from ops.proof.load.organizer import Drop
from pipelines.reservations.core.seating import row_label
from schemas.ids import ReservationId, TicketTypeId
from schemas.statuses import PaymentStatus, ReplyOutcome, ReservationStatus

QUANTITY_MAX = 4
AT_ONCE_SHARE = 0.8
ARRIVAL_S = 2.0  # the others come within this time
NAMED_SHARE = 0.15  # ask for certain seats first
TWICE_SHARE = 0.02  # press the button twice
GREEDY_SHARE = 0.02  # want more than they may have, when they have paid
WALK_AWAY_SHARE = 0.25  # of the winners, while nothing is sold; with fewer seats left, more of them pay
TOKENS = {"tok_ok": 0.88, "tok_declined": 0.05, "tok_lost_reply": 0.04, "tok_slow": 0.03}
THINK_S = 0.5
WATCH_S = 0.1
TRIES_MAX = 20
RETRY_S = 0.25
WAIT = "wait=10"
NOT_LEFT = frozenset({"sold-out", "seat-taken"})


@dataclass(frozen=True, slots=True)
class House:
    """The seats for sale, and those that a box office has locked meanwhile."""

    drop: Drop
    rows: int
    seats_per_row: int

    @property
    def seats(self) -> int:
        return self.rows * self.seats_per_row

    @property
    def ticket_type_id(self) -> TicketTypeId:
        return self.drop.ticket_type_ids[0]


class Crowd:
    """All buyers of one drop. Payments use the `cashier`'s connections, so they do not wait behind requests for
    holds."""

    def __init__(
        self, client: HttpClient, cashier: HttpClient, accounts: list[Account], house: House, tally: Tally, seed: int
    ) -> None:
        self._client, self._cashier, self._accounts = client, cashier, accounts
        self._house, self.tally = house, tally
        self._seed = seed
        self._path = f"/v1/events/{house.drop.event_id}"
        self._waiting: deque[asyncio.Future[int]] = deque()
        self._started = 0.0
        self.gone = asyncio.Event()
        self.locked: set[str] = set()  # a box office's: no buyer may get a hold of one of them

    @property
    def size(self) -> int:
        """How many buyers."""
        return len(self._accounts)

    @property
    def waiting(self) -> int:
        """How many buyers wait for seats to come free."""
        return len(self._waiting)

    async def run(self, timeout_s: float) -> bool:
        """Sells the house. Returns whether everything is sold; False when `timeout_s` was not enough."""
        self._started = time.perf_counter()
        watching = asyncio.create_task(self._watch())
        buyers = [asyncio.create_task(self._buyer(n, account)) for n, account in enumerate(self._accounts)]
        try:
            async with asyncio.timeout(timeout_s):
                await self.gone.wait()
                self._send_home()
                await asyncio.gather(*buyers)
        except TimeoutError:
            return False
        finally:
            for task in (*buyers, watching):
                task.cancel()
            ended = await asyncio.gather(*buyers, watching, return_exceptions=True)
            self.tally.wrong += [f"{one!r}" for one in ended if isinstance(one, Exception)]
        return True

    # --- one buyer --------------------------------------------------------------------------------------------------

    async def _buyer(self, number: int, account: Account) -> None:
        chance = random.Random(f"{self._seed}/{number}")  # noqa: S311 - a demo repeats itself
        if chance.random() >= AT_ONCE_SHARE:
            await asyncio.sleep(chance.uniform(0, ARRIVAL_S))
        quantity = chance.randint(1, QUANTITY_MAX)
        seats = self._wished(chance, quantity) if chance.random() < NAMED_SHARE else []
        for attempt in range(TRIES_MAX):
            key = f"try-{attempt}"
            reason, reservation = await self._reserve(
                account, key, quantity, seats, twice=attempt == 0 and chance.random() < TWICE_SHARE
            )
            if attempt == 0:
                self.tally.first_asked += 1
                self.tally.first_wave_s = time.perf_counter() - self._started
            if reason == ReservationStatus.HELD:
                if chance.random() < WALK_AWAY_SHARE * (1 - self.tally.sold / self._house.seats):
                    self.tally.walked_away += 1
                    return
                await asyncio.sleep(chance.uniform(0, THINK_S))
                if await self._pay(account, reservation, self._token(chance)):
                    if chance.random() < GREEDY_SHARE:
                        await self._reserve(account, "more", QUANTITY_MAX, [])
                    return
            elif reason not in NOT_LEFT:
                return
            if seats:
                seats = []  # another buyer was faster: then the best seats that are left
                continue
            left = await self._until_freed()
            if left == 0:
                return
            quantity = min(quantity, left)

    async def _reserve(
        self, account: Account, key: str, quantity: int, seats: list[str], *, twice: bool = False
    ) -> tuple[str, dict[str, Any]]:
        """The outcome of one request: "held" or a reason, and the reservation when there is one."""
        wanted: dict[str, object] = {"seats": seats} if seats else {"quantity": quantity}
        body = {"ticket_type_id": self._house.ticket_type_id, **wanted}
        locked = frozenset(self.locked)
        started = time.perf_counter()
        path = f"{self._path}/reservations"
        if twice:
            self.tally.sent_twice += 1
            answer, other = await asyncio.gather(*(self._post(path, account, key, body) for _ in range(2)))
            if _meaning(answer) != _meaning(other):
                self.tally.wrong.append(f"one key, two answers: {_meaning(answer)} and {_meaning(other)}")
        else:
            answer = await self._post(path, account, key, body)
        reason, reservation = self._outcome(answer)
        if reason == ReplyOutcome.PENDING:
            reason, reservation = await self._follow(account, reservation["id"])
        self.tally.to_outcome_s.append(time.perf_counter() - started)
        self.tally.outcomes[reason] += 1
        if reason == ReservationStatus.HELD:
            sold_anyway = locked & self.locked & set(reservation["seats"])
            if sold_anyway:
                self.tally.wrong.append(f"seats that a box office had locked were held: {sorted(sold_anyway)}")
        return reason, reservation

    def _outcome(self, answer: TimedResponse) -> tuple[str, dict[str, Any]]:
        document: dict[str, Any] = answer.json()
        position = document.get("position")
        identity = document.get("id") or document.get("reservation_id")
        reason = {201: ReservationStatus.HELD, 202: ReplyOutcome.PENDING}.get(answer.status) or answer.problem
        if position is not None and identity:
            status = reason if reason in (ReservationStatus.HELD, ReplyOutcome.PENDING) else ReservationStatus.REJECTED
            seats = tuple(document.get("seats") or ())
            outcome = ToldOutcome(identity, position["partition"], position["offset"], status=status, seats=seats)
            self.tally.told.append(outcome)
        elif answer.status not in (409, 422):
            self.tally.wrong.append(f"a reservation was answered {answer.status}: {document}")
        return reason, document

    async def _follow(self, account: Account, reservation_id: ReservationId) -> tuple[str, dict[str, Any]]:
        """The outcome of a request that was answered 202."""
        for _ in range(TRIES_MAX):
            answer = await self._get(f"/v1/reservations/{reservation_id}", account)
            if answer.status == 200:
                document = answer.json()
                if document["status"] == ReservationStatus.REJECTED:
                    return document["reason"], document
                if document["status"] != ReplyOutcome.PENDING and document.get("payment") != PaymentStatus.REQUESTED:
                    return document["status"], document
            await asyncio.sleep(RETRY_S)
        return "unknown", {}

    async def _pay(self, account: Account, reservation: dict[str, Any], token: str) -> bool:
        """Whether the tickets are the buyer's now. A declined card is followed by a good one."""
        path = f"/v1/reservations/{reservation['id']}/confirm"
        started = time.perf_counter()
        self.tally.payment_tokens[token] += 1
        answer = await self._post(path, account, f"pay-{token}", {"payment_token": token})
        if answer.status == 402:
            self.tally.payments["declined"] += 1
            self.tally.payment_tokens["tok_ok"] += 1
            answer = await self._post(path, account, "pay-again", {"payment_token": "tok_ok"})
        status = answer.json().get("status") if answer.status == 200 else answer.problem
        if answer.status == 202:
            status, _ = await self._follow(account, reservation["id"])
        self.tally.to_payment_s.append(time.perf_counter() - started)
        self.tally.payments[str(status)] += 1
        if status != ReservationStatus.CONFIRMED:
            return False
        self.tally.confirmed[reservation["id"]] = account.user_id
        for ticket in answer.json().get("tickets", ()) if answer.status == 200 else ():
            self.tally.ticket(ticket["id"], OwnTicket(account.user_id, reservation["id"], ticket["seat"]))
        return True

    # --- requests ---------------------------------------------------------------------------------------------------

    async def _post(self, path: str, account: Account, key: str, body: object) -> TimedResponse:
        """One request; repeated with the same key while its outcome is unknown."""
        client = self._cashier if path.endswith("/confirm") else self._client
        for _ in range(TRIES_MAX - 1):
            try:
                answer = await client.request("POST", path, token=account.token, key=key, prefer=WAIT, body=body)
                if answer.problem not in NOT_DECIDED:
                    return answer
            except NoAnswer:
                pass
            self.tally.retried += 1
            await asyncio.sleep(RETRY_S)
        return await client.request("POST", path, token=account.token, key=key, prefer=WAIT, body=body)

    async def _get(self, path: str, account: Account | None = None) -> TimedResponse:
        for _ in range(TRIES_MAX - 1):
            try:
                token = account.token if account is not None else ""
                return await self._client.request("GET", path, token=token, prefer=WAIT if token else "")
            except NoAnswer:
                await asyncio.sleep(RETRY_S)
        return await self._client.request("GET", path, token=account.token if account is not None else "")

    # --- free seats -------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Reads the counters as a page with a waiting list would, and calls as many buyers as there are seats."""
        while not self.gone.is_set():
            answer = await self._get(f"{self._path}/availability")
            if answer.status == 200 and (items := answer.json()["items"]):
                counters, tally = items[0], self.tally
                tally.available, tally.held, tally.sold = counters["available"], counters["held"], counters["sold"]
                if tally.sold >= self._house.seats:
                    self.gone.set()
                    return
                if tally.first_asked == len(self._accounts) or tally.sold:
                    self._call(tally.available)
            await asyncio.sleep(WATCH_S)

    def _call(self, available: int) -> None:
        for _ in range(min(available, len(self._waiting))):
            buyer = self._waiting.popleft()
            if not buyer.done():
                buyer.set_result(available)

    def _send_home(self) -> None:
        while self._waiting:
            buyer = self._waiting.popleft()
            if not buyer.done():
                buyer.set_result(0)

    async def _until_freed(self) -> int:
        """The number of free seats when this buyer is called; 0 when no more will be free."""
        if self.gone.is_set():
            return 0
        called: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(called)
        return await called

    def _wished(self, chance: random.Random, quantity: int) -> list[str]:
        """Seats side by side, the better rows more often."""
        quantity = min(quantity, self._house.seats_per_row)
        row = int(self._house.rows * chance.random() ** 2)
        first = chance.randint(1, self._house.seats_per_row - quantity + 1)
        return [f"{row_label(row)}-{seat}" for seat in range(first, first + quantity)]

    def _token(self, chance: random.Random) -> str:
        return chance.choices(list(TOKENS), list(TOKENS.values()))[0]


def _meaning(answer: TimedResponse) -> tuple[int, str, object, object]:
    document = answer.json() or {}
    return answer.status, answer.problem, document.get("id") or document.get("reservation_id"), document.get("seats")
