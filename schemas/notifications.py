"""Notifications: messages to deliver, one for each fact, channel and template. Keyed by user_id.

Position fields name the fact that caused the message; together with channel and template they are its identity.
"""

from __future__ import annotations

import msgspec

from schemas.field_types import Int32
from schemas.ids import EventId, ReservationId, UserId


class Notification(msgspec.Struct, frozen=True, gc=False):
    """One message for one user on one channel. `data` is a JSON object with what the template needs."""

    user_id: UserId
    event_id: EventId
    reservation_id: ReservationId
    partition: Int32
    offset: int
    index: Int32
    kind: str
    channel: str
    template: str
    created_at: int
    data: str


NOTIFICATIONS: tuple[type[Notification], ...] = (Notification,)
