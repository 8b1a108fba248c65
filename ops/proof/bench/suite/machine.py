"""The machine of a bench: its load when the bench began, and a fixed computation before each round."""

from __future__ import annotations

import os
import platform

from ops.proof.bench.suite.figures import Machine
from ops.statistics import reference_ms


class Calibration:
    """Collects what says how fast the machine was. Make one before the first round."""

    def __init__(self, broker: str) -> None:
        self._broker, self._load_average = broker, os.getloadavg()[0]
        self._milliseconds = list[float]()

    def measure(self) -> None:
        """Measure the fixed computation, before a round."""
        self._milliseconds.append(reference_ms())

    def machine(self) -> Machine:
        """What was measured so far."""
        return Machine(
            cpus=os.cpu_count() or 1,
            python=platform.python_version(),
            broker=self._broker,
            load_average=round(self._load_average, 2),
            calibration_ms=list(self._milliseconds),
        )
