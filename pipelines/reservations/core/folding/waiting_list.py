"""What the facts about the waiting list change."""

from __future__ import annotations

import msgspec

from pipelines.reservations.core import entities as e
from pipelines.reservations.core.entities import Placed
from pipelines.reservations.core.folding.change import Change
from pipelines.reservations.core.state import EventState
from schemas import facts as f
from schemas.statuses import WaitlistStatus

_replace = msgspec.structs.replace


def _joined(state: EventState, fact: f.WaitlistJoined, at: Placed) -> None:
    entry = e.WaitlistEntry(
        id=fact.entry_id,
        user_id=fact.user_id,
        ticket_type_id=fact.ticket_type_id,
        quantity=fact.quantity,
        status=WaitlistStatus.WAITING,
        offset=at.offset,
        mailbox=fact.mailbox or 0,
    )
    state.put_entry(entry)


def _entry(status: WaitlistStatus) -> Change:
    def change(state: EventState, fact: f.WaitlistOffered | f.WaitlistEnded, _at: Placed) -> None:
        state.put_entry(_replace(state.waitlist[fact.entry_id], status=status))

    return change


CHANGES: dict[type[f.Fact], Change] = {
    f.WaitlistJoined: _joined,
    f.WaitlistOffered: _entry(WaitlistStatus.OFFERED),
    f.WaitlistEnded: _entry(WaitlistStatus.ENDED),
}
