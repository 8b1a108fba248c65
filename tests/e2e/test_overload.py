"""More requests than the worker decides: the rest is refused with a time to come again, and that time is kept."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from api.fairness.limits import ADMISSION_LEAST, UNDECIDED_MAX
from ops.proof.load.accounts import Account, provision
from ops.proof.load.http_client import HttpClient, TimedResponse
from ops.run.platform import Platform
from tests.harness.shop import OnSale, Shop, open_shop, unique
from tests.harness.suspended import suspended

TARGET_S = 0.1
CROWD = UNDECIDED_MAX // 2
PAST_ONSET_S = 1.0  # the worker stands still for two seconds: below the six after which the group takes it for dead
DECIDED = {201, 409}  # held, or sold out by then


@pytest.fixture(scope="module")
def overloaded() -> Iterator[tuple[Platform, Shop]]:
    with open_shop(CIRCLE_ADMISSION_TARGET_MS=str(int(TARGET_S * 1_000))) as opened:
        yield opened


def stopped_worker(platform: Platform) -> AbstractContextManager[None]:
    """The reservations worker gets no processor time."""
    return suspended(platform.supervisor.pid("reservations-1"))


class Buyers:
    """Accounts that reserve one place each of an event."""

    def __init__(self, http: HttpClient, event: OnSale) -> None:
        self._http, self._event = http, event

    async def reserve(self, account: Account, *, prefer: str = "wait=20") -> TimedResponse:
        return await self._http.request(
            "POST",
            f"/v1/events/{self._event.id}/reservations",
            token=account.token,
            key=unique(),
            prefer=prefer,
            body={"ticket_type_id": self._event.general, "quantity": 1},
        )

    async def come_back(self, account: Account, refused: TimedResponse) -> TimedResponse:
        """Wait as the refusal says, and ask again."""
        await asyncio.sleep(refused.json()["retry_after_s"] + 0.1)
        return await self.reserve(account)


def test_beyond_what_is_decided_in_time_buyers_are_refused_and_let_in_when_they_come_back_as_they_were_asked_to(
    overloaded: tuple[Platform, Shop],
) -> None:
    platform, shop = overloaded
    event = shop.event(shop.organizer())

    async def scenario() -> None:
        accounts = await provision(platform.settings, CROWD + 2 * ADMISSION_LEAST, label="overload")
        crowd, late = accounts[:CROWD], accounts[CROWD:]
        async with HttpClient(platform.url) as http:
            buyers = Buyers(http, event)
            assert (await buyers.reserve(crowd[0])).status == 201
            with stopped_worker(platform):
                first = [asyncio.create_task(buyers.reserve(account)) for account in crowd]
                await asyncio.sleep(PAST_ONSET_S)
                # The limit is looked at with each request, and the requests before have shown the delay by now.
                await asyncio.gather(*(buyers.reserve(account, prefer="wait=1") for account in late[:10]))
                answers = await asyncio.gather(*(buyers.reserve(account) for account in late[10:]))
                assert Counter(answer.problem for answer in answers) == {"busy": len(answers)}
                early = await buyers.reserve(late[-1])
                assert (early.status, early.problem) == (429, "rate-limited")
            returned = await asyncio.gather(*map(buyers.come_back, late[10:], answers))
            seen = Counter((answer.status, answer.problem, answer.json().get("retry_after_s")) for answer in returned)
            assert {answer.status for answer in returned} <= DECIDED, seen
            of_crowd = Counter(answer.status for answer in await asyncio.gather(*first))
            assert set(of_crowd) <= DECIDED | {503}
            assert sum(of_crowd[status] for status in DECIDED) >= ADMISSION_LEAST * 0.9  # a tenth is for payments
            assert (await buyers.reserve(late[0])).status in DECIDED

    asyncio.run(scenario())
