"""Runs a dataflow in this process to its end and says how it ended, as an exit code.

Guarantee: an error in an operator is reported with its own text and type, not as Bytewax's wrapper around it.
"""

from __future__ import annotations

import gc

from bytewax.dataflow import Dataflow
from bytewax.testing import run_main

from connectors.errors import CircleError
from connectors.logs import Log

# A dataflow keeps many state objects, and reference counts free the objects of its batches. By default Python looks for
# cycles after every 700 new objects. This takes a quarter of a busy worker's time and finds none.
COLLECT_AFTER = (100_000, 20, 20)


class Ended:
    """Why the last dataflow of this process ended: the class of its error, "" after a requested stop."""

    kind = ""


def execute(flow: Dataflow, log: Log) -> int:
    """Run the flow. 0 when it drained, else the exit code of the error that ended it; the error is logged.

    `run_main` runs the one worker in this thread, where signals arrive. Its module is named "testing", but it is the
    plain entry point without Bytewax's own command line.
    """
    gc.set_threshold(*COLLECT_AFTER)
    try:
        run_main(flow)  # type: ignore[no-untyped-call]
    except KeyboardInterrupt:
        log.info("dataflow.interrupted", flow=flow.flow_id)
        return 0
    except Exception as error:  # an operator's error is its __cause__
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
    """The error that an operator raised: the first of our own in the chain of `__cause__`, else the innermost."""
    seen: set[int] = set()  # an error may be raised from itself, and the chain would never end
    while not isinstance(error, CircleError) and error.__cause__ is not None and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__
    return error
