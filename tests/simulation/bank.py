"""A payment provider that also acts by itself, for `whole.Town`: refunds, failures, disputes, reported late and twice.

It knows the truth: its captures and its refunds. It reports its news at random, and all of them at the end.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from pipelines.reservations.core.state import EventState
from schemas import commands as c

DISPUTES = {"": ("inquiry", "open", "open", "lost"), "inquiry": ("open", "closed"), "open": ("won", "lost")}


@dataclass
class Back:
    """A refund. `key` is "" if it began here."""

    key: str
    amount: int
    good: bool = True


@dataclass
class Account:
    """A payment."""

    reservation: str
    captured: int
    refunds: dict[str, Back] = field(default_factory=dict)  # by refund id
    dispute: str = ""

    @property
    def left(self) -> int:
        return self.captured - sum(one.amount for one in self.refunds.values() if one.good)


class Bank:
    """`accounts` by payment id."""

    def __init__(self, event_id: str, rng: random.Random) -> None:
        self._event, self._rng = event_id, rng
        self.accounts: dict[str, Account] = {}
        self.untold: list[c.Command] = []

    def captured(self, told: c.RecordPayment) -> c.RecordPayment:
        """It has captured a payment."""
        if told.outcome == "captured":
            self.accounts.setdefault(told.payment_id, Account(told.reservation_id, told.amount_minor))
        return told

    def asked(self, of: str, payment: str, key: str, amount: int) -> c.Command:
        """We ask for a refund of reservation `of`."""
        account, refund = self.accounts.get(payment) or Account(of, 0), f"ref-{key}"
        if refund in account.refunds:  # a known key: the first answer, for any outcome
            return c.RecordRefund(
                event_id=self._event,
                user_id="",
                command_id="id",
                reservation_id=of,
                payment_id=payment,
                refund_id=refund,
                amount_minor=amount,
                refund_key=key,
            )
        if account.left < amount or (account.dispute == "open" and self._rng.random() < 0.5):
            return c.RecordRefundFailure(
                event_id=self._event,
                user_id="",
                command_id="id",
                reservation_id=of,
                payment_id=payment,
                refund_id="",
                amount_minor=amount,
                currency="EUR",
                reason="refused",
                refund_key=key,
            )
        account.refunds[refund] = Back(key, amount)
        return c.RecordRefund(
            event_id=self._event,
            user_id="",
            command_id="id",
            reservation_id=of,
            payment_id=payment,
            refund_id=refund,
            amount_minor=amount,
            refund_key=key,
        )

    def moves(self) -> c.Command:
        """An act or a report of its own."""
        if self.untold and self._rng.random() < 0.5:
            return self.untold.pop(self._rng.randrange(len(self.untold)))
        make = self._rng.choice((self._refund, self._refund, self._fail, self._disputed))
        payments = sorted(self.accounts)
        payment = self._rng.choice(payments) if payments else "pay-0"
        account = self.accounts.get(payment) or Account("r0", 0)
        news = make(payment, account)
        if news is None:
            return c.Tick(self._event, "", "id")
        self.untold += [news] * self._rng.choice((0, 0, 1))  # it reports again
        if self._rng.random() < 0.3:  # it reports late
            self.untold.append(news)
            return c.Tick(self._event, "", "id")
        return news

    def _refund(self, payment: str, account: Account) -> c.Command | None:
        if account.left <= 0 or account.dispute in ("open", "lost"):
            return None
        amount = self._rng.choice((account.left, self._rng.randint(1, account.left)))
        refund = f"re-{payment}-{len(account.refunds)}"
        account.refunds[refund] = Back("", amount)
        return c.RecordProviderRefund(
            event_id=self._event,
            user_id="",
            command_id="id",
            reservation_id=account.reservation,
            payment_id=payment,
            refund_id=refund,
            amount_minor=amount,
            currency="EUR",
            reason="",
        )

    def _fail(self, payment: str, account: Account) -> c.Command | None:
        good = sorted(refund for refund, back in account.refunds.items() if back.good)
        if not good:
            return None
        refund = self._rng.choice(good)
        back = account.refunds[refund]
        back.good = False
        return c.RecordRefundFailure(
            event_id=self._event,
            user_id="",
            command_id="id",
            reservation_id=account.reservation,
            payment_id=payment,
            refund_id=refund,
            amount_minor=back.amount,
            currency="EUR",
            reason="closed",
            refund_key=back.key or None,
        )

    def _disputed(self, payment: str, account: Account) -> c.Command | None:
        steps = DISPUTES.get(account.dispute)
        if steps is None or not account.captured:
            return None
        account.dispute = self._rng.choice(steps)
        return c.RecordDispute(
            event_id=self._event,
            user_id="",
            command_id="id",
            reservation_id=account.reservation,
            payment_id=payment,
            dispute_id=f"dp-{payment}",
            status=account.dispute,
            amount_minor=account.left,
            currency="EUR",
            reason="",
        )

    def back(self) -> dict[tuple[str, str], int]:
        """Its refunds, by payment and key or refund id."""
        return {
            (payment, one.key or refund): one.amount
            for payment, account in self.accounts.items()
            for refund, one in account.refunds.items()
            if one.good
        }


def due(state: EventState) -> list[tuple[str, str, str, int]]:
    """Reservation, payment, key and amount of every requested refund that is not made."""
    return sorted(
        (of, one.payment_id, one.key, one.amount_minor)
        for of, refunds in state.refunds.items()
        for one in refunds
        if one.status == "requested"
    )
