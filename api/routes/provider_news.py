"""What a payment provider tells of by itself, made into commands that say which reservation they are about.

Guarantee: nothing is told of a payment that is not on the log. Where its rows are not there, the provider is asked
whose it is, and that it was captured is told first: the partition keeps that order, and told twice it is a duplicate.
"""

from __future__ import annotations

from api.deps import ApiDeps
from api.http.problem import unavailable
from connectors.logs import Log
from pipelines.payments.providers.protocol import OutcomeUnknown, RequestRefused
from pipelines.payments.providers.stripe import webhook
from pipelines.payments.providers.stripe.api import Declined, Intent, RefundObject
from pipelines.payments.providers.stripe.books import refunds_of
from pipelines.payments.providers.stripe.webhook import Event, Told

log = Log("payments")


async def commands_of(deps: ApiDeps, event: Event) -> list[Told]:
    """What the log is to be told, in this order. Raises Unreadable, and Problem unavailable while Stripe is needed and
    does not answer: it sends the webhook again."""
    told = webhook.commands_of(event)
    payment = webhook.charge_refunded(event)
    if payment is not None:
        found = (webhook.refund_told(refund, event.id) for refund in await _refunds(deps, payment))
        told = [one for one in found if one is not None]
    placed: list[Told] = []
    for one in told:
        placed += [one] if one.event_id else await _placed(deps, one)
    return placed


async def _placed(deps: ApiDeps, told: Told) -> list[Told]:
    """The command with its place. Nothing for what another program did with the same account."""
    row = await deps.database.row("payment_of_provider", told.payment_id)
    if row is not None:
        return [webhook.placed(told, row["event_id"], row["reservation_id"])]
    intent = await _intent(deps, told.payment_id)
    captured = None if intent is None else webhook.captured(intent, f"{told.command_id}/captured")
    if captured is None:
        log.info("webhook.not_ours", webhook=told.command_id, type=type(told).__name__)
        return []
    return [captured, webhook.placed(told, captured.event_id, captured.reservation_id)]


async def _intent(deps: ApiDeps, payment_id: str) -> Intent | None:
    assert deps.stripe is not None, "webhooks are read only where Stripe is in use"
    try:
        return await deps.stripe.get(f"/v1/payment_intents/{payment_id}", {}, Intent)
    except Declined:  # there is no such payment
        return None
    except (OutcomeUnknown, RequestRefused) as error:
        raise unavailable("payment provider", f"whose payment this is could not be asked: {error}") from error


async def _refunds(deps: ApiDeps, payment_id: str) -> list[RefundObject]:
    assert deps.stripe is not None, "webhooks are read only where Stripe is in use"
    try:
        return [refund async for refund in refunds_of(deps.stripe, payment_id)]
    except Declined:
        return []
    except (OutcomeUnknown, RequestRefused) as error:
        raise unavailable("payment provider", f"what was refunded could not be asked: {error}") from error
