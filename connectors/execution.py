"""Runs a dataflow in this process to its end and says how it ended, as an exit code.

Guarantee: an error in an operator comes out with its own text and type, not as Bytewax's wrapper around it.
"""

from __future__ import annotations

import gc

from bytewax.dataflow import Dataflow
from bytewax.testing import run_main

from connectors.errors import CircleError
from connectors.logs import Log

# A dataflow's states are many objects that stay, its batches many that are freed by their counts: looking for cycles
# among them 700 objects at a time, as Python does, takes a quarter of a reservations worker's time and finds none.
COLLECT_AFTER = (100_000, 20, 20)


class Ended:
    """Why the last dataflow of this process ended: the class of its error, "" when it was told to."""

    kind = ""


def execute(flow: Dataflow, log: Log) -> int:
    """0 when the flow drained, else the exit code of the error that ended it; the error is logged.

    `run_main` runs the one worker in this thread, where signals arrive; despite its module's name it is the plain
    entry point without Bytewax's own command line.
    """
    gc.set_threshold(*COLLECT_AFTER)
    try:
        run_main(flow)  # type: ignore[no-untyped-call]
    except KeyboardInterrupt:
        log.info("dataflow.interrupted", flow=flow.flow_id)
        return 0
    except Exception as error:  # whatever an operator raised, as its __cause__
        cause = root_cause(error)
        Ended.kind = "" if getattr(cause, "exit_code", 1) == 0 else type(cause).__name__
        if not isinstance(cause, CircleError):
            log.exception("dataflow.failed", cause, flow=flow.flow_id)
            return 1
        if cause.exit_code == 0:
            log.info("dataflow.stopped", flow=flow.flow_id, why=str(cause))
        else:
            log.error("dataflow.failed", flow=flow.flow_id, kind=type(cause).__name__, error=str(cause))
        return cause.exit_code
    log.info("dataflow.drained", flow=flow.flow_id)
    return 0


def root_cause(error: BaseException) -> BaseException:
    """The error an operator raised: the innermost `__cause__` of Bytewax's, up to the first of our own."""
    seen: set[int] = set()  # an error may be raised from itself; following that would never end
    while not isinstance(error, CircleError) and error.__cause__ is not None and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__
    return error
