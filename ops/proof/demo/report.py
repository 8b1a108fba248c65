"""The demo's report: figures, and a verdict that passes only without any finding. Pure."""

from __future__ import annotations

import msgspec

from ops.proof.checker import Report as Audit
from ops.proof.demo.api_view import ApiView
from ops.proof.demo.tally import Tally
from ops.statistics import Latencies, ProcessCpu, latencies, our_us_per_request

OVERSOLD_RULES = ("two-claims", "over-capacity", "locked-seat-sold")
DUPLICATE_RULES = ("outcomes", "position-twice", "position-told-differently")
LOST_RULES = ("lost-command", "told", "inbox")
FINDINGS_MAX = 20


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The size and shape of the drop."""

    buyers: int = 5_000
    seats: int = 2_000
    seed: int = 1
    hold_ttl_s: int = 5
    reservations: int = 1
    broker: str = "embedded"


class DemoReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report. `findings` is empty when every check passed."""

    options: DemoOptions
    seconds: float
    requests: int
    requests_per_s: float
    outcomes: dict[str, int]
    outcomes_per_s: float
    first_wave_s: float
    payments: dict[str, int]
    payment_tokens: dict[str, int]
    walked_away: int
    retried: int
    sent_twice: int
    sold: int
    seats: int
    oversold: int
    lost: int
    duplicates: int
    to_outcome: Latencies
    to_payment: Latencies
    cpu: list[ProcessCpu]
    our_cpu_us_per_request: float
    checked: dict[str, int]
    captured_minor: int
    refunded_minor: int
    encore: list[str]
    findings: list[str]

    @property
    def passed(self) -> bool:
        """Whether the house is sold out and nothing was wrong."""
        whole = self.sold == self.seats and not self.oversold and not self.lost and not self.duplicates
        return whole and not self.findings


def make(
    options: DemoOptions,
    *,
    seats: int,
    seconds: float,
    requests: int,
    tally: Tally,
    outside: ApiView,
    audit: Audit,
    cpu: list[ProcessCpu],
    findings: list[str],
    encore: list[str],
) -> DemoReport:
    """The report from the buyers' tally, the API's view and the checker's report."""
    decided = sum(tally.outcomes.values())
    rules = audit.by_rule
    violations = [f"{one.rule} at {one.where}: {one.what}" for one in audit.violations]
    return DemoReport(
        options=options,
        seconds=round(seconds, 2),
        requests=requests,
        requests_per_s=round(requests / max(seconds, 0.001), 1),
        outcomes=dict(tally.outcomes.most_common()),
        outcomes_per_s=round(tally.first_asked / max(tally.first_wave_s, 0.001), 1),
        first_wave_s=round(tally.first_wave_s, 2),
        payments=dict(tally.payments.most_common()),
        payment_tokens=dict(tally.payment_tokens.most_common()),
        walked_away=tally.walked_away,
        retried=tally.retried,
        sent_twice=tally.sent_twice,
        sold=outside.tickets,
        seats=seats,
        oversold=outside.oversold + sum(rules[rule] for rule in OVERSOLD_RULES),
        lost=outside.lost + tally.outcomes["unknown"] + sum(rules[rule] for rule in LOST_RULES),
        duplicates=outside.duplicates + sum(rules[rule] for rule in DUPLICATE_RULES),
        to_outcome=latencies(tally.to_outcome_s),
        to_payment=latencies(tally.to_payment_s),
        cpu=cpu,
        our_cpu_us_per_request=our_us_per_request(cpu),
        checked={**audit.counts, "tickets over HTTP": outside.tickets, "outcomes reported": decided},
        captured_minor=audit.captured_minor,
        refunded_minor=audit.refunded_minor,
        encore=encore,
        findings=(findings + tally.wrong + outside.wrong + violations)[:FINDINGS_MAX],
    )
