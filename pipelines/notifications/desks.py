"""What the desks of mails, webhook calls and account mails have in common: finished rows, and rows set aside."""

from __future__ import annotations

import time

KEPT_DAYS = 30  # finished deliveries; longer than notifications.outbound keeps a message that could come again
PRUNED_MAX = 5_000  # rows of one statement, so that a long pause does not lead to a long lock
PRUNE_EVERY_S = 3_600.0
WAITING_COUNTED_MAX = 100_000  # due rows that the metric counts: counting more would take longer than a batch
SET_ASIDE = "set aside: "  # begins the error of a row that `circle dlq rows` shows and redrives


class PruneTimer:
    """When a desk prunes: at its first look, then every PRUNE_EVERY_S."""

    __slots__ = ("_last_s",)

    def __init__(self) -> None:
        self._last_s: float | None = None

    def due(self) -> bool:
        """Whether it is time. If so, the next time is PRUNE_EVERY_S later."""
        now_s = time.monotonic()
        if self._last_s is not None and now_s - self._last_s < PRUNE_EVERY_S:
            return False
        self._last_s = now_s
        return True
