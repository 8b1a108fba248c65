"""Turns a payment provider's own events into commands, with the reservations that they concern.

Guarantee: the log never learns of a refund or dispute before its payment. If the payment has no rows yet, the provider
is asked for its reservation, and a command for the capture goes first. The partition keeps this order, and a second
command for the same capture is a duplicate.
"""

from __future__ import annotations

from api.deps import ApiDeps
from api.http.problem import unavailable
from connectors.logs import Log
from pipelines.payments.providers.protocol import OutcomeUnknown, RequestRefused
from pipelines.payments.providers.stripe import webhook
from pipelines.payments.providers.stripe.books import refunds_of
from pipelines.payments.providers.stripe.objects import Declined, Intent, RefundObject
from pipelines.payments.providers.stripe.webhook import Event, Told
from schemas.ids import CommandId, PaymentId

log = Log("payments")


async def commands_of(deps: ApiDeps, event: Event) -> list[Told]:
    """The commands of an event, in order. Raises Unreadable, and Problem unavailable if Stripe is needed and does not
    answer; Stripe then sends the webhook again."""
    commands = webhook.commands_of(event)
    payment = webhook.charge_refunded(event)
    if payment is not None:
        refunds = (webhook.refund_told(refund, event.id) for refund in await _refunds(deps, payment))
        commands = [one for one in refunds if one is not None]
    placed: list[Told] = []
    for one in commands:
        placed += [one] if one.event_id else await _placed(deps, one)
    return placed


async def _placed(deps: ApiDeps, command: Told) -> list[Told]:
    """The command with its event and reservation. Empty for an action of another program on the same account."""
    row = await deps.database.row("payment_of_provider", command.payment_id)
    if row is not None:
        return [webhook.placed(command, row["event_id"], row["reservation_id"])]
    intent = await _intent(deps, command.payment_id)
    captured = None if intent is None else webhook.captured(intent, CommandId(f"{command.command_id}/captured"))
    if captured is None:
        log.info("webhook.not_ours", webhook=command.command_id, type=type(command).__name__)
        return []
    return [captured, webhook.placed(command, captured.event_id, captured.reservation_id)]


async def _intent(deps: ApiDeps, payment_id: PaymentId) -> Intent | None:
    assert deps.stripe is not None, "webhooks are read only where Stripe is in use"
    try:
        return await deps.stripe.get(f"/v1/payment_intents/{payment_id}", {}, Intent)
    except Declined:  # there is no such payment
        return None
    except (OutcomeUnknown, RequestRefused) as error:
        raise unavailable("payment provider", f"the provider does not say whose payment this is: {error}") from error


async def _refunds(deps: ApiDeps, payment_id: PaymentId) -> list[RefundObject]:
    assert deps.stripe is not None, "webhooks are read only where Stripe is in use"
    try:
        return [refund async for refund in refunds_of(deps.stripe, payment_id)]
    except Declined:
        return []
    except (OutcomeUnknown, RequestRefused) as error:
        raise unavailable("payment provider", f"the provider does not list the refunds: {error}") from error
