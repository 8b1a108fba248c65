"""Finds the receiver of an offer by mail address or id, without revealing who has an account.

Guarantee: a user who offers a ticket or sends an invitation learns nothing about the receiver. An address that is
unknown or not verified gets a made-up id, always the same one, from which the address cannot be found. An offer to this
id goes to the log like any other, gets no answer, and expires.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from uuid import UUID

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.auth.mail import normalised
from api.fairness.rate_limits import LOOKUPS
from api.http.problem import invalid
from api.http.routing import Call
from api.http.validation import UUID_PATTERN
from schemas.ids import UserId


async def receiver_named(call: Call, text: str, *, field: str) -> UserId:
    """The id of the account with this address or id, or a made-up id. Raises Problem invalid-request, rate-limited."""
    call.deps.limiter.take(LOOKUPS, call.user_id)
    database = call.deps.database
    if "@" in text:
        name = normalised(text, field=field)
        row = await database.row("receiver_by_email", name)
    elif re.fullmatch(UUID_PATTERN, text):
        name = text.lower()
        row = await database.row("receiver_by_id", name)
    else:
        raise invalid(field, "has to be a mail address or a user's id")
    return UserId(str(row["id"])) if row is not None else _nobody(call, name)


def _nobody(call: Call, name: str) -> UserId:
    """A made-up id that looks like any other (RFC 9562, version 4). Keyed, so the log's ids do not reveal addresses."""
    key = call.deps.keys.oldest.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    raw = blake2b(name.encode(), key=key, person=b"circle nobody", digest_size=16).digest()
    return UserId(str(UUID(bytes=raw, version=4)))
