"""The shape of a change: what a fact of one type does to its event's state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipelines.reservations.core.entities import Placed
from pipelines.reservations.core.state import EventState

Change = Callable[[EventState, Any, Placed], None]
