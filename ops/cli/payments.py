"""`circle payments …`: compares the payment provider's books with the rows, and makes the sandbox act by itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from ops.operate.provider_commands import CommandWriter
from ops.operate.provider_moves import NoSuchPayment, told_of
from ops.operate.reconcile import Reconciled, books_of, reconcile
from ops.output import AsJson, DryRun, emit_json, emit_table
from ops.run.discovery import operator_settings
from pipelines.payments.providers.books import BookedDispute, BookedRefund
from pipelines.payments.providers.sandbox_books import SandboxBooks
from pipelines.platform_settings import PaymentsBy, PlatformSettings
from schemas.commands import Command
from schemas.ids import PaymentId, RefundId
from schemas.statuses import DisputeStatus

SETTLING_S = 60  # a younger payment may still be on its way from the provider to the rows
SINCE_DEFAULT_S = 7 * 86_400

payments = typer.Typer(no_args_is_help=True, help="The payment provider's books, compared with the log.")

Payment = Annotated[str, typer.Argument(help="The payment's id.")]
Amount = Annotated[int | None, typer.Option(help="The amount in minor units; without it, the whole amount.", min=1)]
Untold = Annotated[bool, typer.Option("--untold", help="Do not write to the log, as if the webhook were lost.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(payments, name="payments")


@payments.command("reconcile")
def reconcile_books(
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Begin, UTC. Default: a week ago."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="End, UTC. Default: a minute ago."),
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Write to the log what it lacks.")] = False,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Compare the provider's payments, refunds and disputes with the rows. Exit 1 when they differ."""
    settings = operator_settings()
    now = int(time.time())
    end = _seconds(until, now - SETTLING_S)
    start = _seconds(since, end - SINCE_DEFAULT_S)
    if start >= end:
        raise typer.BadParameter("--from has to be before --to")
    lost: list[str] = []
    with ExitStack() as stack:
        writer = stack.enter_context(CommandWriter(settings)) if record and not dry_run else None

        def found(command: Command) -> None:
            if writer is not None:
                writer.write(command)
            elif record and len(lost) < 1_000:
                lost.append(type(command).__name__)

        report = asyncio.run(_reconciled(settings, start, end, found))
    report.recorded = writer.written if writer is not None else 0
    if json:
        emit_json(msgspec.structs.asdict(report) | {"dry_run": dry_run, "would_record": len(lost)})
    else:
        _show(report, len(lost) if dry_run else None)
    return 0 if report.agrees else 1


async def _reconciled(settings: PlatformSettings, start: int, end: int, found: Callable[[Command], None]) -> Reconciled:
    books = books_of(settings)
    try:
        return await reconcile(settings, books, start, end, found)
    finally:
        await books.close()


def _show(report: Reconciled, would: int | None) -> None:
    if report.differences:
        columns = ("differs", "what", "id", "here", "there", "reservation", "what to do")
        rows = [
            (one.kind, one.what, one.id, one.here or "nothing", one.there or "nothing", one.reservation_id, one.advice)
            for one in report.differences
        ]
        emit_table(columns, rows)
    if report.left_out:
        print(f"and {report.left_out} more")
    counted = f"{report.payments} payments, {report.refunds} refunds, {report.disputes} disputes of {report.provider}"
    print(f"{counted} compared, {len(report.differences) + report.left_out} differ, {report.others} are not ours")
    if would is not None:
        print(f"{would} commands would be written")
    elif report.recorded:
        print(f"{report.recorded} commands were written: run it again when they are decided")


@payments.command("sandbox-refund")
def sandbox_refund(payment: Payment, amount: Amount = None, untold: Untold = False, json: AsJson = False) -> int:
    """Refund a payment at the sandbox bank, without a request of ours. Exit 1 when less than the amount is left."""
    return _moved(lambda books: books.give_back(PaymentId(payment), amount), untold=untold, json=json)


@payments.command("sandbox-fail-refund")
def sandbox_fail_refund(
    refund: Annotated[str, typer.Argument(help="The refund's id.")], untold: Untold = False, json: AsJson = False
) -> int:
    """Make a refund fail after all: the sandbox bank sends the money back."""
    return _moved(lambda books: books.fail(RefundId(refund)), untold=untold, json=json)


@payments.command("sandbox-dispute")
def sandbox_dispute(
    payment: Payment,
    status: Annotated[DisputeStatus, typer.Option(help="The dispute's new status.")] = DisputeStatus.OPEN,
    amount: Amount = None,
    untold: Untold = False,
    json: AsJson = False,
) -> int:
    """Open a buyer's dispute of a payment, or move it to another status."""
    return _moved(lambda books: books.dispute_of(PaymentId(payment), status, amount), untold=untold, json=json)


def _moved(move: Callable[[SandboxBooks], Awaitable[BookedRefund | BookedDispute]], *, untold: bool, json: bool) -> int:
    settings = operator_settings()
    if settings.payments is not PaymentsBy.SANDBOX:
        raise NoSuchPayment("only the sandbox can do this, and another payment provider is in use")
    done, commands = asyncio.run(_move(settings, move))
    if not untold:
        with CommandWriter(settings) as writer:
            for command in commands:
                writer.write(command)
    kinds = [] if untold else [type(command).__name__ for command in commands]
    if json:
        emit_json({"done": done, "told": kinds})
    else:
        print(f"{done}\nwritten to the log: {', '.join(kinds) or 'nothing'}")
    return 0


async def _move(
    settings: PlatformSettings, move: Callable[[SandboxBooks], Awaitable[BookedRefund | BookedDispute]]
) -> tuple[BookedRefund | BookedDispute, list[Command]]:
    books = SandboxBooks(settings.postgres_url)
    try:
        done = await move(books)
        return done, await told_of(settings, books, done)
    finally:
        await books.close()


def _seconds(moment: datetime | None, default: int) -> int:
    return default if moment is None else int(moment.replace(tzinfo=UTC).timestamp())
