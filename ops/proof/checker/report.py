"""The checker's violations, and the clients' outcomes. Typed, so that tests, the demo and `circle verify` share it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from schemas.ids import ReservationId
from schemas.statuses import ReplyOutcome

VIOLATIONS_KEPT_MAX = 1_000  # of each rule; all of them are counted


class ToldOutcome(msgspec.Struct, frozen=True, gc=False):
    """A client's answer about a reservation: a 202 (`status` "pending") or an outcome ("held", "rejected").

    `seats` are compared when they are not empty.
    """

    reservation_id: ReservationId
    partition: int
    offset: int
    status: str = ReplyOutcome.PENDING
    seats: tuple[str, ...] = ()


class Violation(msgspec.Struct, frozen=True, gc=False):
    """One broken rule, where it shows (a position, a row's key, a Redis key), and what is wrong."""

    rule: str
    where: str
    what: str


@dataclass(slots=True)
class Report:
    """The result of a check: violations, and how much was checked."""

    violations: list[Violation] = field(default_factory=list)
    by_rule: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    confirmed_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.by_rule

    def add(self, rule: str, where: str, what: str) -> None:
        """Note a violation."""
        self.by_rule[rule] += 1
        if self.by_rule[rule] <= VIOLATIONS_KEPT_MAX:
            self.violations.append(Violation(rule, where, what))

    def text(self, most: int = 20) -> str:
        """The report as text for people."""
        if self.ok:
            seen = ", ".join(f"{number} {what}" for what, number in sorted(self.counts.items()))
            return f"no violation ({seen})"
        head = ", ".join(f"{rule} ×{number}" for rule, number in self.by_rule.most_common())
        lines = [f"{one.rule} at {one.where}: {one.what}" for one in self.violations[:most]]
        return "\n".join([f"{self.by_rule.total()} violations: {head}", *lines])

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "ok": self.ok,
            "counts": dict(self.counts),
            "violations_by_rule": dict(self.by_rule),
            "violations": [msgspec.structs.asdict(one) for one in self.violations],
            "captured_minor": self.captured_minor,
            "refunded_minor": self.refunded_minor,
            "confirmed_minor": self.confirmed_minor,
        }
