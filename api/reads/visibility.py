"""Which ticket types a caller may see: the one filter for all reads of an event's ticket types.

Guarantee: only the event's organizer, admins and callers with an access code that unlocks it see a hidden ticket type.
For every other caller no read reveals its existence, its name or its numbers. In doubt a ticket type is hidden: one
that Redis has and the rows do not have yet is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import asyncpg

from api.deps import ApiDeps
from api.http.routing import Call
from api.reads.events import is_owner
from schemas.ids import EventId, TicketTypeId


class Sight(NamedTuple):
    """The ticket types that a caller sees: all for the organizer, or the public ones and those that a code unlocks."""

    everything: bool
    unlocked: Callable[[TicketTypeId], bool]

    def sees(self, ticket_type_id: TicketTypeId, hidden: bool) -> bool:
        """Whether the caller sees a ticket type."""
        return self.everything or not hidden or self.unlocked(ticket_type_id)

    async def among(self, deps: ApiDeps, event_id: EventId, ids: Iterable[TicketTypeId]) -> set[TicketTypeId]:
        """The ticket types that the caller sees now. Raises Problem unavailable."""
        if self.everything:
            return set(ids)

        async def ask() -> dict[TicketTypeId, bool]:
            return {row["id"]: row["hidden"] for row in await deps.database.rows("ticket_types_shown", event_id)}

        hidden = await deps.hidden_types.get(event_id, ask)
        return {one for one in ids if one in hidden and self.sees(one, hidden[one])}


async def sight(call: Call, event: asyncpg.Record, code: str | None) -> Sight:
    """What the caller sees of an event. Raises Problem rate-limited (429)."""
    if is_owner(call, event):
        return Sight(True, _nothing)
    return Sight(False, await _unlocked(call, event["id"], code) if code else _nothing)


async def spend_guess(call: Call, event_id: EventId, promo: str, access: str) -> None:
    """Count a code that no row has as a guess, before a request with codes goes on. The log still decides.

    Raises Problem rate-limited (429).
    """
    user_id, address, guesses = call.user_id, call.address, call.deps.guesses
    guesses.check(event_id, user_id, address)
    for code, is_access in ((promo, False), (access, True)):
        if code and await call.deps.database.row("code_known", event_id, code, is_access) is None:
            await guesses.wrong(event_id, user_id, address)


async def _unlocked(call: Call, event_id: EventId, code: str) -> Callable[[TicketTypeId], bool]:
    """The ticket types that a code unlocks. The log decides later whether it is still valid."""
    user_id = call.caller.user_id if call.caller is not None else None
    address, guesses = call.address, call.deps.guesses
    guesses.check(event_id, user_id, address)
    row = await call.deps.database.row("access_code", event_id, code.upper())
    if row is None:
        await guesses.wrong(event_id, user_id, address)
        return _nothing
    types = frozenset(row["ticket_type_ids"])
    return lambda ticket_type_id: not types or ticket_type_id in types


def _nothing(_ticket_type_id: TicketTypeId) -> bool:
    return False
