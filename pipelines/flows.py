"""The names of the dataflows."""

from __future__ import annotations

from enum import StrEnum


class Flow(StrEnum):
    """A dataflow, by the name of its process. Its room in this folder has the name with underscores."""

    RESERVATIONS = "reservations"
    READ_SIDE = "read-side"
    PROJECTIONS = "projections"
    NOTIFICATIONS = "notifications"
    PAYMENTS = "payments"
    MONITORING = "monitoring"


READ_SIDE_BRANCHES = (Flow.PROJECTIONS, Flow.MONITORING, Flow.NOTIFICATIONS)
"""The flows that `read-side` runs together, and that can run alone. The inbox is last: its lock is short then."""
