"""To whom something is offered, by a mail address or an id, without telling who has an account.

Guarantee: whoever offers a ticket or invites somebody learns nothing of the receiver. An address that is nobody's, or
that is not verified, stands for an id that is nobody's: always the same one, and no address can be had from it. What is
offered to it is on the log like any other offer, is answered by nobody, and expires.
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


async def receiver_named(call: Call, text: str, *, field: str) -> str:
    """The id of the account with this mail address or id, or nobody's. Raises Problem invalid-request, rate-limited."""
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
    return str(row["id"]) if row is not None else _nobody(call, name)


def _nobody(call: Call, name: str) -> str:
    """An id that looks like any other (RFC 9562, version 4). Keyed: nobody can try addresses on what is on the log."""
    key = call.deps.keys.oldest.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    raw = blake2b(name.encode(), key=key, person=b"circle nobody", digest_size=16).digest()
    return str(UUID(bytes=raw, version=4))
