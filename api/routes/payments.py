"""Webhooks of payment providers: each becomes a command, like every other write.

Guarantee: 200 means that the webhook's content is durable on the log, or that it does not concern us. After any other
answer the provider sends it again. This is safe: the command is the same, and `decide` sees a duplicate.
"""

from __future__ import annotations

from time import time

from sanic import HTTPResponse

from api.http.problem import FieldError, Problem
from api.http.routing import Call, json
from api.log.provider_news import commands_of
from api.shapes.payments import PaymentWebhookOut
from pipelines.payments.providers.stripe import webhook
from pipelines.platform_settings import PaymentsBy

SIGNATURE = "Stripe-Signature"
RECORDED, REPEATED, IGNORED = PaymentWebhookOut("recorded"), PaymentWebhookOut("repeated"), PaymentWebhookOut("ignored")


async def stripe(call: Call) -> HTTPResponse:
    """200 after the log has it; 400 without a valid and recent signature of Stripe; 404 if Stripe is not in use."""
    settings, deps = call.deps.settings, call.deps
    if settings.payments is not PaymentsBy.STRIPE:
        raise Problem("not-found", "this platform uses no payment provider with webhooks")
    assert settings.stripe_webhook_secret is not None, "settings_from_env refuses Stripe without a secret"
    signature = call.request.headers.get(SIGNATURE)
    if signature is None:
        raise Problem(
            "missing-header",
            f"{SIGNATURE}: is required",
            field=SIGNATURE,
            errors=(FieldError(SIGNATURE, "is required"),),
        )
    try:
        event = webhook.verified(call.request.body, signature, settings.stripe_webhook_secret, time())
    except webhook.BadSignature as error:
        raise Problem("invalid-signature", str(error), field=SIGNATURE) from None
    except webhook.UnreadableWebhook as error:
        raise Problem("invalid-request", f"the body is not a readable event of Stripe: {error}") from None
    if event.id in deps.webhooks:
        return json(REPEATED)
    try:
        commands = await commands_of(deps, event)
    except webhook.UnreadableWebhook as error:
        raise Problem("invalid-request", f"the body is not a readable event of Stripe: {error}") from None
    if not commands:
        return json(IGNORED)
    for command in commands:  # one after the other, so that the log decides them in this order
        await deps.log_writer.send(command, wants_reply=False).future
    deps.webhooks.add(event.id)
    return json(RECORDED)
