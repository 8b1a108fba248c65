"""Notifications: messages to deliver, one for each fact, channel and template. Keyed by user_id.

Position fields name the fact that caused the message; together with channel and template they are its identity.
"""

from __future__ import annotations

import msgspec

from schemas.field_types import Int32


class Notification(msgspec.Struct, frozen=True, gc=False):
    """One message for one user on one channel. `data` is a JSON object with what the template needs."""

    user_id: str
    event_id: str
    reservation_id: str
    partition: Int32
    offset: int
    index: Int32
    kind: str
    channel: str
    template: str
    created_at: int
    data: str


NOTIFICATIONS: tuple[type[Notification], ...] = (Notification,)
