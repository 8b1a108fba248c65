"""`circle demo`: a whole sold-out drop, checked from the outside."""

from typing import Annotated

import typer

from ops.output import AsJson, emit_json, emit_table
from ops.progress import ProgressBars
from ops.proof.demo.report import DemoOptions, DemoReport
from ops.proof.demo.run import run
from ops.proof.load.organizer import CURRENCY
from ops.statistics import Latencies
from schemas.money import formatted


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(demo)


def demo(
    buyers: Annotated[int, typer.Option(help="Buyers who compete.", min=1, max=50_000)] = 5_000,
    seats: Annotated[int, typer.Option(help="Numbered seats for sale.", min=1, max=20_000)] = 2_000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same buyers.")] = 1,
    hold_ttl: Annotated[int, typer.Option(help="Seconds that a hold lasts.", min=1, max=60)] = 5,
    reservations: Annotated[int, typer.Option(help="Reservations processes.", min=1, max=64)] = 1,
    broker: Annotated[str, typer.Option(help="embedded, apache or apache-3.")] = "embedded",
    json: AsJson = False,
) -> int:
    """Sell all seats of a new platform, check every invariant from outside, and report. Exit 1 on a fault."""
    options = DemoOptions(
        buyers=buyers, seats=seats, seed=seed, hold_ttl_s=hold_ttl, reservations=reservations, broker=broker
    )
    with ProgressBars(quiet=json) as progress:
        report = run(options, progress)
    if json:
        emit_json({"passed": report.passed, "report": report})
    else:
        _show(report)
    return 0 if report.passed else 1


def _show(report: DemoReport) -> None:
    outcome, payment = report.to_outcome, report.to_payment
    captured, refunded = (formatted(amount, CURRENCY) for amount in (report.captured_minor, report.refunded_minor))
    rows = [
        ("requests", f"{report.requests:,} in {report.seconds:.1f} s ({report.requests_per_s:,.0f}/s)"),
        ("first wave", _first_wave(report)),
        ("outcomes", _counts(report.outcomes)),
        ("payments", _counts(report.payments)),
        ("walked away", f"{report.walked_away:,} buyers let their hold run out"),
        ("sent twice", f"{report.sent_twice:,} requests, each with one answer; {report.retried:,} sent again"),
        ("sold", f"{report.sold:,} of {report.seats:,}"),
        ("oversold", f"{report.oversold}"),
        ("lost", f"{report.lost}"),
        ("duplicates", f"{report.duplicates}"),
        ("latency to outcome", _latency(outcome)),
        ("latency to payment", _latency(payment)),
        ("money", f"captured {captured}, refunded {refunded}"),
        ("our CPU", f"{report.our_cpu_us_per_request:,.0f} µs a request"),
    ]
    emit_table(("the drop", ""), rows)
    print()
    processes = [(one.name, f"{one.us_per_request:,.0f}", "" if one.ours else "not ours") for one in report.cpu]
    emit_table(("process", "CPU µs a request", ""), processes)
    print()
    emit_table(("the encore",), [(line,) for line in report.encore])
    print()
    print("checked: " + _counts(report.checked))
    for finding in report.findings:
        print(f"WRONG: {finding}")
    print("every check passed" if report.passed else "FAILED")


def _first_wave(report: DemoReport) -> str:
    answered = f"{report.options.buyers:,} buyers had their outcome after {report.first_wave_s:.1f} s"
    return f"{answered} ({report.outcomes_per_s:,.0f}/s)"


def _latency(of: Latencies) -> str:
    return f"p50 {of.p50_ms:,.0f} ms, p95 {of.p95_ms:,.0f} ms, p99 {of.p99_ms:,.0f} ms"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
