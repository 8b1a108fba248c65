"""Writes a command to the log, and waits for its outcome as long as the client wants.

Guarantee: the log has acknowledged every command with an `Outcome`. Anything else is a Problem, and safe to send again.
"""

from __future__ import annotations

import msgspec

from api.deps import ApiDeps
from api.fairness.admission import Passage
from api.http.reasons import refusal
from api.log.writer import Submission
from schemas.commands import Command, ReserveTickets
from schemas.replies import Reply
from schemas.statuses import ReplyOutcome

RECEIPT = "circle-receipt"


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The command's position on the log, and its reply; None if there was none in time."""

    partition: int
    offset: int
    reply: Reply | None
    submission: Submission

    @property
    def receipt(self) -> str:
        """The signed position of the command. Raises Problem not-acknowledged."""
        return self.submission.receipt()


async def submit(
    deps: ApiDeps, command: Command, wait_s: float, *, traceparent: str | None = None, receipt: bool = False
) -> Outcome:
    """Write `command` and wait up to `wait_s` seconds for its outcome; 0 waits for the acknowledgement only.

    With `receipt` it also waits for the acknowledgement, if the outcome has overtaken it.
    Raises Problem busy and not-acknowledged (503), too-many-at-once and rate-limited (429).
    """
    turn = deps.commands.take()
    try:
        passage = await deps.admission.enter(command)
        try:
            return await _submit(deps, command, passage, wait_s=wait_s, traceparent=traceparent, receipt=receipt)
        finally:
            passage.left()
    finally:
        deps.commands.give_back(turn)


async def _submit(
    deps: ApiDeps, command: Command, passage: Passage, *, wait_s: float, traceparent: str | None, receipt: bool
) -> Outcome:
    writer, request, together = deps.log_writer, command if isinstance(command, ReserveTickets) else None, False
    if wait_s <= 0:
        submission = writer.send(command, wants_reply=False, traceparent=traceparent, passage=passage)
        await submission.future
        passage.acknowledged(submission.offset)
        reply = None
    else:
        # A record has one trace, and a receipt proves a record of its own.
        if request is not None and not receipt and traceparent is None and deps.sold_out.expects(request):
            submission, together = deps.sold_out.send(request, passage), True
        else:
            submission = writer.send(command, wants_reply=True, traceparent=traceparent, passage=passage)
        timer = submission.future.get_loop().call_later(wait_s, submission.time_out)
        try:
            reply = await submission.future
        finally:
            timer.cancel()
            writer.waiting.pop(command.command_id, None)
    if request is not None and reply is not None:
        deps.sold_out.learn(request, reply, together=together)
    if receipt:
        await submission.arrived()
    if reply is None:
        outcome = Outcome(submission.partition, submission.offset, None, submission)
    else:
        outcome = Outcome(reply.partition, reply.offset, reply, submission)
    deps.memory.wrote(command.user_id, outcome.partition, outcome.offset)
    return outcome


def accepted(outcome: Outcome, *, receipt: bool = False, **extensions: str) -> Reply | None:
    """The reply of an accepted command, None if there is none yet. Raises the Problem of a refused command.

    With `receipt` a refusal carries the command's receipt, as every 202 does.
    """
    reply = outcome.reply
    if reply is not None and reply.outcome == ReplyOutcome.REFUSED:
        problem = refusal(reply, **extensions)
        if receipt:
            problem.headers[RECEIPT] = outcome.receipt
        raise problem
    return reply


def receipt_header(outcome: Outcome, *, receipt: bool) -> dict[str, str]:
    """The header with the receipt, if the caller has asked for it."""
    return {RECEIPT: outcome.receipt} if receipt else {}
