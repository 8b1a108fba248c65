"""The names of the dataflows."""

from __future__ import annotations

from enum import StrEnum


class Flow(StrEnum):
    """A dataflow, by the name of its room in this folder and of its process."""

    RESERVATIONS = "reservations"
    PROJECTIONS = "projections"
    NOTIFICATIONS = "notifications"
    PAYMENTS = "payments"
    MONITORING = "monitoring"
