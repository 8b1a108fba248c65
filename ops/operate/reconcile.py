"""Compares a payment provider's books with the rows: entries that one side lacks, other amounts, other states.

Guarantee: memory holds one page of the books and DIFFERENCES_MAX differences, for books of any size. The comparison
itself writes nothing. `lost` gets the commands of lost news; on the log, `decide` takes each of them once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import asyncpg
import msgspec

from connectors.pooler import one_server
from connectors.postgres import Connection, connect
from connectors.sql_files import queries
from pipelines.payments.booking_commands import capture_booked, dispute_booked, refund_booked
from pipelines.payments.providers.books import PAGE, BookedDispute, BookedPayment, BookedRefund, Books, Place
from pipelines.payments.providers.sandbox_books import SandboxBooks
from pipelines.payments.providers.stripe.api import StripeApi
from pipelines.payments.providers.stripe.books import StripeBooks
from pipelines.platform_settings import PaymentsBy, PlatformSettings
from schemas import commands as c
from schemas.ids import US_PER_S, AnyId, CommandId, EventId, PaymentId, ReservationId
from schemas.statuses import ChargeOutcome, DisputeStatus, PaymentStatus, RefundOrigin, RefundStatus

DIFFERENCES_MAX = 1_000  # listed; the others are only counted
SQL = queries(Path(__file__).with_name("reconcile.sql"))

MISSING_HERE, MISSING_THERE, AMOUNT, CURRENCY, STATE = "missing-here", "missing-there", "amount", "currency", "state"
ADVICE = {
    MISSING_HERE: "news of it were lost: record it with --record",
    MISSING_THERE: "the provider does not know it: look whether this is its account, then at circle explain",
    AMOUNT: "a person has to look: circle explain says what was decided, the provider's dashboard what was done",
    CURRENCY: "a person has to look: it was charged in another currency than it was sold in",
    STATE: "news of it were lost: record it with --record",
}
BY_HAND = "a person has to look: the log has nothing that this belongs to"
_PROGRESS: dict[str, int] = {
    DisputeStatus.INQUIRY: 0,
    DisputeStatus.OPEN: 1,
    DisputeStatus.CLOSED: 2,
    DisputeStatus.LOST: 2,
    DisputeStatus.WON: 3,
}
NOT_HERE = ""  # the status of what has no row
_UNKNOWN = frozenset({PaymentStatus.REQUESTED, PaymentStatus.DECLINED, PaymentStatus.REFUSED})

B = TypeVar("B", BookedPayment, BookedRefund, BookedDispute)
Found = Callable[["BookDifference", c.Command | None], None]


class BookDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between books and rows. --record writes `command` to the log; "" is none."""

    kind: str
    what: str
    id: str
    payment_id: PaymentId
    event_id: EventId
    reservation_id: ReservationId
    here: str
    there: str
    advice: str
    command: str


class Reconciled(msgspec.Struct, kw_only=True):
    """The compared entries and the differences. `others` counts payments of other programs with the same account."""

    provider: str
    since: int
    until: int
    payments: int = 0
    refunds: int = 0
    disputes: int = 0
    others: int = 0
    differences: list[BookDifference] = []
    left_out: int = 0
    recorded: int = 0

    @property
    def agrees(self) -> bool:
        return not self.differences and not self.left_out


def books_of(settings: PlatformSettings) -> Books:
    """The books of the provider that the settings name."""
    if settings.payments is PaymentsBy.SANDBOX:
        return SandboxBooks(settings.postgres_url)
    assert settings.stripe_api_key is not None, "settings_from_env refuses Stripe without a key"
    return StripeBooks(StripeApi(settings.stripe_api_key, settings.stripe_api_url))


async def reconcile(
    settings: PlatformSettings, books: Books, since: int, until: int, lost: Callable[[c.Command], None]
) -> Reconciled:
    """Compare the books from second `since` to second `until`. `lost` gets each command that the log lacks.

    Raises OutcomeUnknown when the provider does not answer, ServiceUnreachable without PostgreSQL.
    """
    report = Reconciled(provider=settings.payments.value, since=since, until=until, differences=[])
    connection = await connect(settings.postgres_url)

    def found(difference: BookDifference, command: c.Command | None) -> None:
        if command is not None:
            lost(command)
        if len(report.differences) < DIFFERENCES_MAX:
            report.differences.append(difference)
        else:
            report.left_out += 1

    try:
        async with one_server(connection):
            await connection.execute(SQL["remember"])
            comparing = _Comparing(connection, books, report, found)
            async for payments in _paged(books.payments(since, until)):
                await comparing.payments(payments)
            async for refunds in _paged(books.refunds(since, until)):
                await comparing.refunds(refunds)
            async for disputes in _paged(books.disputes(since, until)):
                await comparing.disputes(disputes)
            await comparing.unseen(since * US_PER_S, until * US_PER_S)
    finally:
        await connection.close()
    return report


async def _paged(entries: AsyncIterator[B]) -> AsyncIterator[list[B]]:
    page: list[B] = []
    async for entry in entries:
        page.append(entry)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


class _Comparing:
    """One comparison: the pages of the books, then the rows that no page had."""

    def __init__(self, connection: Connection, books: Books, report: Reconciled, found: Found) -> None:
        self._connection, self._books, self._report, self._found = connection, books, report, found

    async def payments(self, page: Sequence[BookedPayment]) -> None:
        """Each captured payment is on record as captured, with its amount."""
        ids = [one.payment_id for one in page]
        found = await self._connection.fetch(SQL["payments"], ids)
        rows: dict[str, asyncpg.Record | None] = {row["payment_id"]: row for row in found}
        await self._connection.execute(SQL["seen"], "payment", ids)
        for one in page:
            row = rows.get(one.payment_id)
            if row is None:
                row = await self._connection.fetchrow(SQL["attempts"], one.attempt_id, one.event_id)
            if row is None and not one.event_id:
                self._report.others += 1
                continue
            self._report.payments += 1
            place = (one.event_id, one.reservation_id) if row is None else (row["event_id"], row["reservation_id"])
            status = NOT_HERE if row is None else row["status"]
            if row is None or row["payment_id"] != one.payment_id or status in _UNKNOWN:
                command = capture_booked(one, place, CommandId(f"reconcile-{one.payment_id}"))
                what = MISSING_HERE if row is None else STATE
                self._tell(
                    "payment", what, one.payment_id, one.payment_id, place, status, ChargeOutcome.CAPTURED, command
                )
            elif row["currency"] != one.currency:
                values = row["currency"], one.currency
                self._tell("payment", CURRENCY, one.payment_id, one.payment_id, place, *values, None)
            elif row["amount_minor"] != one.amount_minor:
                values = str(row["amount_minor"]), str(one.amount_minor)
                self._tell("payment", AMOUNT, one.payment_id, one.payment_id, place, *values, None)

    async def refunds(self, page: Sequence[BookedRefund]) -> None:
        """Each refund is on record under its key or its id, with its result."""
        places = await self._places([one.payment_id for one in page])
        known: dict[tuple[str, str], asyncpg.Record] = {}
        for row in await self._connection.fetch(SQL["refunds"], [one.payment_id for one in page]):
            known[row["payment_id"], row["refund_key"]] = row
            known.setdefault((row["payment_id"], row["refund_id"]), row)
        await self._connection.execute(SQL["seen"], "refund", [one.refund_id for one in page])
        for one in page:
            place = places.get(one.payment_id)
            if place is None:
                self._report.others += 1
                continue
            self._report.refunds += 1
            by_key = known.get((one.payment_id, one.key or one.refund_id))
            self._refund(one, by_key or known.get((one.payment_id, one.refund_id)), place)

    def _refund(self, one: BookedRefund, row: asyncpg.Record | None, place: Place) -> None:
        status = NOT_HERE if row is None else row["status"]
        if one.status == RefundStatus.REQUESTED or (
            one.status == RefundStatus.FAILED and status in (RefundStatus.FAILED, NOT_HERE)
        ):
            return  # it has no result on either side
        ours = row["refund_key"] if row is not None and row["origin"] != RefundOrigin.PROVIDER else one.key
        of = one.payment_id
        command = refund_booked(one, place, CommandId(f"reconcile-{one.refund_id}"), key=ours)
        if row is None:
            self._tell("refund", MISSING_HERE, one.refund_id, of, place, "", one.status, None if one.key else command)
        elif status != one.status:
            again = status == RefundStatus.FAILED and row["refund_id"] == one.refund_id  # it failed, and is there again
            self._tell("refund", STATE, one.refund_id, of, place, status, one.status, None if again else command)
        elif row["refunded_minor"] != one.amount_minor:
            values = str(row["refunded_minor"]), str(one.amount_minor)
            self._tell("refund", AMOUNT, one.refund_id, of, place, *values, None)

    async def disputes(self, page: Sequence[BookedDispute]) -> None:
        """Each dispute is on record with its status."""
        places = await self._places([one.payment_id for one in page])
        rows = await self._connection.fetch(SQL["disputes"], [one.payment_id for one in page])
        known = {row["dispute_id"]: row for row in rows}
        await self._connection.execute(SQL["seen"], "dispute", [one.dispute_id for one in page])
        for one in page:
            place = places.get(one.payment_id)
            if place is None:
                self._report.others += 1
                continue
            self._report.disputes += 1
            row = known.get(one.dispute_id)
            status = NOT_HERE if row is None else row["status"]
            identity = "dispute", one.dispute_id, one.payment_id
            command = dispute_booked(one, place, CommandId(f"reconcile-{one.dispute_id}"))
            if row is None:
                self._tell(identity[0], MISSING_HERE, *identity[1:], place, "", one.status, command)
            elif status != one.status:
                further = _PROGRESS.get(one.status, -1) > _PROGRESS.get(status, -1)
                self._tell(identity[0], STATE, *identity[1:], place, status, one.status, command if further else None)
            elif row["amount_minor"] != one.amount_minor:
                amounts = str(row["amount_minor"]), str(one.amount_minor)
                self._tell(identity[0], AMOUNT, *identity[1:], place, *amounts, None)

    async def unseen(self, since_us: int, until_us: int) -> None:
        """Asks for each row that no page of the books had, because the two clocks may differ."""
        payments = self._unseen("payment", "unseen_payments", "payment_id", self._books.payment, since_us, until_us)
        refunds = self._unseen("refund", "unseen_refunds", "refund_id", self._books.refund, since_us, until_us)
        disputes = self._unseen("dispute", "unseen_disputes", "dispute_id", self._books.dispute, since_us, until_us)
        for part in (payments, refunds, disputes):
            await part

    async def _unseen(
        self, kind: str, query: str, name: str, look: Callable[[AnyId], Awaitable[object]], since_us: int, until_us: int
    ) -> None:
        async with self._connection.transaction():
            async for row in self._connection.cursor(SQL[query], since_us, until_us, prefetch=PAGE):
                if await look(row[name]) is None:
                    place = row["event_id"], row["reservation_id"]
                    self._tell(kind, MISSING_THERE, row[name], row["payment_id"], place, row["status"], "", None)

    async def _places(self, payment_ids: list[PaymentId]) -> dict[PaymentId, Place]:
        """The reservation of each payment: from the rows, else from the provider."""
        rows = await self._connection.fetch(SQL["payments"], payment_ids)
        places = {row["payment_id"]: (row["event_id"], row["reservation_id"]) for row in rows}
        for payment_id in sorted(set(payment_ids) - places.keys()):
            booked = await self._books.payment(payment_id)
            if booked is None:
                continue
            row = await self._connection.fetchrow(SQL["attempts"], booked.attempt_id, booked.event_id)
            if row is not None or booked.event_id:
                places[payment_id] = (
                    (booked.event_id, booked.reservation_id)
                    if row is None
                    else (row["event_id"], row["reservation_id"])
                )
        return places

    def _tell(
        self, kind: str, what: str, identity: str, payment_id: PaymentId, place: Place, here: str, there: str,
        command: c.Command | None,
    ) -> None:  # fmt: skip
        advice = ADVICE[what] if command is not None or what not in (MISSING_HERE, STATE) else BY_HAND
        difference = BookDifference(
            kind=kind, what=what, id=identity, payment_id=payment_id, event_id=place[0], reservation_id=place[1],
            here=here, there=there, advice=advice, command="" if command is None else type(command).__name__,
        )  # fmt: skip
        self._found(difference, command)
