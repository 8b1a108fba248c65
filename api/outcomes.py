"""A command onto the log, and what becomes of it within the time its sender waits.

Guarantee: what comes back is acknowledged by the log. Everything else is a Problem, and safe to send again.
"""

from __future__ import annotations

import msgspec

from api.deps import Deps
from api.reasons import refusal
from schemas.commands import Command
from schemas.replies import Reply


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """Where the command stands on the log, and its reply; None: no outcome in time."""

    partition: int
    offset: int
    reply: Reply | None


async def submit(deps: Deps, command: Command, wait_s: float, *, traceparent: str | None = None) -> Outcome:
    """Write `command` and wait up to `wait_s` for its outcome; 0 waits for the acknowledgement only.

    Raises Problem busy and not-acknowledged (503).
    """
    writer = deps.log_writer
    submission = writer.send(command, wants_reply=wait_s > 0, traceparent=traceparent)
    if wait_s <= 0:
        await submission.future
        reply = None
    else:
        timer = submission.future.get_loop().call_later(wait_s, submission.time_out)
        try:
            reply = await submission.future
        finally:
            timer.cancel()
            writer.waiting.pop(command.command_id, None)
    if reply is None:
        outcome = Outcome(submission.partition, submission.offset, None)
    else:
        outcome = Outcome(reply.partition, reply.offset, reply)
    deps.memory.wrote(command.user_id, outcome.partition, outcome.offset)
    return outcome


def accepted(outcome: Outcome, **extensions: str) -> Reply | None:
    """The reply of an accepted command, None while there is none. Raises the Problem of a refused one."""
    reply = outcome.reply
    if reply is not None and reply.outcome == "refused":
        raise refusal(reply, **extensions)
    return reply
