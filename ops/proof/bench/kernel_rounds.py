"""The rounds of `circle bench kernel`: the dataflow in turns with its baseline, the plain consumer loop.

Each run has a log of its own and a process of its own. A run's first batch, in which the process loads its state and
opens its connections, is not measured.
"""

from __future__ import annotations

import msgspec

from ops.progress import ProgressBars
from ops.proof.bench import consumer_loop
from ops.proof.bench.kernel import DATAFLOW, KernelOptions, KernelReport, own_broker_only, run_on
from ops.proof.bench.suite.figures import BenchCheck, Figure
from ops.proof.bench.suite.machine import Calibration
from ops.proof.bench.suite.measurement import Measurement, rate_figure, rounds_chart
from ops.run.services.stack import Stack

PER_COMMAND = "µs a command"
GOAL_US = 25.0  # of CPU a command, in full batches
LOOP = ("-m", consumer_loop.MODULE)


def run(options: KernelOptions, rounds: int, progress: ProgressBars) -> Measurement:
    """Runs the rounds on one stack. Raises CircleError when a process dies or gets stuck."""
    own_broker_only(options.broker)
    calibration, flow, loop = Calibration(options.broker), list[KernelReport](), list[KernelReport]()
    with Stack(options.broker, partitions=options.partitions) as stack:
        for number in range(rounds):
            calibration.measure()
            turns = [(flow, DATAFLOW), (loop, LOOP)]
            for reports, command in turns if number % 2 == 0 else reversed(turns):
                reports.append(run_on(stack, options, progress, command=command))
    figures = figures_of(flow, loop)
    goal = next(figure for figure in figures if figure.name == "CPU")
    return Measurement(
        name="kernel",
        about="commands are preloaded, then one reservations process decides all of them",
        load={
            key: value for key, value in msgspec.structs.asdict(options).items() if key not in ("broker", "partitions")
        },
        machine=calibration.machine(),
        figures=figures,
        checks=[
            BenchCheck(
                "every command was decided once",
                all(report.passed for report in (*flow, *loop)),
                ", ".join(f"{one.decided} of {one.preloaded}" for one in (*flow, *loop)),
            )
        ],
        goals=[BenchCheck(f"at most {GOAL_US:g} µs a command", goal.median <= GOAL_US, f"{goal.median:g} µs")],
        charts=[rounds_chart("kernel", figures, lambda figure: figure.unit == PER_COMMAND)],
    )


def figures_of(flow: list[KernelReport], loop: list[KernelReport]) -> list[Figure]:
    """CPU a command by phase, of the dataflow and of the loop, and how much the dataflow takes more. Pure."""
    phases = [phase.phase for phase in flow[0].phases]
    return [
        Figure(name="CPU", unit=PER_COMMAND, values=[report.cpu_us_per_command for report in flow]),
        *(
            Figure(name=f"CPU, {name}", unit=PER_COMMAND, values=[_of_phase(report, name) for report in flow])
            for name in phases
        ),
        Figure(name="baseline: the consumer loop", unit=PER_COMMAND, values=[one.cpu_us_per_command for one in loop]),
        Figure(
            name="what Bytewax takes",
            unit=PER_COMMAND,
            values=[
                round(one.cpu_us_per_command - other.cpu_us_per_command, 2)
                for one, other in zip(flow, loop, strict=True)
            ],
        ),
        rate_figure("commands", [report.commands_per_s for report in flow]),
    ]


def _of_phase(report: KernelReport, name: str) -> float:
    return next(phase.cpu_us_per_command for phase in report.phases if phase.phase == name)
