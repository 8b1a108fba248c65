"""The kernel bench measures whole phases after the first batch, and passes only if each command was decided once."""

from collections import Counter

from ops.proof.bench.kernel import KernelOptions, KernelReport, Observed, report
from ops.proof.bench.mix import GRANTED, SETUP, SOLD_OUT, Layout


def observed(at: float, cpu_s: float, **phases: int) -> Observed:
    names = {"setup": SETUP, "granted": GRANTED, "sold_out": SOLD_OUT}
    return Observed(at, cpu_s, Counter({names[name]: count for name, count in phases.items()}))


BATCHES = [
    observed(10.0, 1.00, setup=10, granted=990),
    observed(10.1, 1.05, granted=2_000),
    observed(10.2, 1.15, granted=2_000),
    observed(10.3, 1.17, granted=1_000, sold_out=1_000),
    observed(10.5, 1.19, sold_out=2_000),
]


def made(batches: list[Observed] = BATCHES, *, decided: int = 9_000, repeated: int = 0) -> KernelReport:
    return report(KernelOptions(), Layout(8, 1, 100), 9_000, batches, Counter(TicketsHeld=9_000), decided, repeated)


def test_the_first_batch_starts_the_clock_and_is_not_measured() -> None:
    figures = made()
    assert figures.measured == 8_000
    assert figures.seconds == 0.5
    assert figures.commands_per_s == 16_000
    assert figures.cpu_us_per_command == 23.75


def test_phases_are_measured_apart_and_mixed_batches_left_out() -> None:
    granted, sold_out = made().phases
    assert (granted.commands, granted.batches, granted.cpu_us_per_command) == (4_000, 2, 37.5)
    assert (sold_out.commands, sold_out.batches, sold_out.cpu_us_per_command) == (2_000, 1, 10.0)


def test_it_passes_only_when_every_command_was_decided_once() -> None:
    assert made().passed
    assert not made(decided=8_999).passed
    assert not made(repeated=1).passed


def test_nothing_observed_is_no_division_by_zero() -> None:
    figures = made([], decided=0)
    assert (figures.measured, figures.commands_per_s, figures.passed) == (0, 0.0, False)
