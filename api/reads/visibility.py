"""Which ticket types a caller may see: the one filter of all reads of what an event sells.

Guarantee: a hidden ticket type is shown to the event's organizer, to admins, and to whoever names an access code that
unlocks it; to everybody else no read says that it exists, nor what it is called, nor how much of it there is. What is
not known to be shown is not shown: a ticket type that Redis knows and the rows do not yet is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import asyncpg

from api.deps import ApiDeps
from api.http.routing import Call
from api.routes.events import is_owner


class Sight(NamedTuple):
    """Whose eyes: the organizer's, or those of somebody to whom a code shows some hidden ticket types, or none."""

    everything: bool
    unlocked: Callable[[str], bool]

    def sees(self, ticket_type_id: str, hidden: bool) -> bool:
        """Whether a ticket type is shown."""
        return self.everything or not hidden or self.unlocked(ticket_type_id)

    async def among(self, deps: ApiDeps, event_id: str, ids: Iterable[str]) -> set[str]:
        """Those of the ticket types that are shown now. Raises Problem unavailable."""
        if self.everything:
            return set(ids)

        async def ask() -> dict[str, bool]:
            return {row["id"]: row["hidden"] for row in await deps.database.rows("ticket_types_shown", event_id)}

        hidden = await deps.hidden_types.get(event_id, ask)
        return {one for one in ids if one in hidden and self.sees(one, hidden[one])}


async def sight(call: Call, event: asyncpg.Record, code: str | None) -> Sight:
    """What the caller sees of an event. Raises Problem rate-limited (429)."""
    if is_owner(call, event):
        return Sight(True, _nothing)
    return Sight(False, await _unlocked(call, event["id"], code) if code else _nothing)


async def spend_guess(call: Call, event_id: str, promo: str, access: str) -> None:
    """Before something is asked for with codes: one that no row knows is a guess. The log decides all the same.

    Raises Problem rate-limited (429).
    """
    user_id, address, guesses = call.user_id, call.address, call.deps.guesses
    guesses.check(event_id, user_id, address)
    for code, is_access in ((promo, False), (access, True)):
        if code and await call.deps.database.row("code_known", event_id, code, is_access) is None:
            await guesses.wrong(event_id, user_id, address)


async def _unlocked(call: Call, event_id: str, code: str) -> Callable[[str], bool]:
    """What a code unlocks. Whether it still works is decided when something is asked for."""
    user_id = call.caller.user_id if call.caller is not None else None
    address, guesses = call.address, call.deps.guesses
    guesses.check(event_id, user_id, address)
    row = await call.deps.database.row("access_code", event_id, code.upper())
    if row is None:
        await guesses.wrong(event_id, user_id, address)
        return _nothing
    types = frozenset(row["ticket_type_ids"])
    return lambda ticket_type_id: not types or ticket_type_id in types


def _nothing(_ticket_type_id: str) -> bool:
    return False
