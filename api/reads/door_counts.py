"""How many tickets of an event were sold and checked in, by ticket type and gate."""

from __future__ import annotations

from api.deps import ApiDeps
from api.reads.availability import availability_of
from api.shapes.door import CountsOut, GateCount, TypeCount
from schemas.ids import EventId


async def counts_of(deps: ApiDeps, event_id: EventId) -> CountsOut:
    """An event's counts, at most DOOR_COUNTS_S old. Raises Problem unavailable."""
    return await deps.door_counts.get(event_id, lambda: _counted(deps, event_id))


async def _counted(deps: ApiDeps, event_id: EventId) -> CountsOut:
    sold = {one.id: one.sold for one in (await availability_of(deps, event_id)).items}
    rows = await deps.database.rows("door_counts", event_id)
    refused = await deps.database.row("door_refused", event_id)
    by_type, by_gate = dict.fromkeys(sold, 0), dict[str, int]()
    for row in rows:
        by_type[row["ticket_type_id"]] = by_type.get(row["ticket_type_id"], 0) + row["checked_in"]
        by_gate[row["gate"]] = by_gate.get(row["gate"], 0) + row["checked_in"]
    return CountsOut(
        tickets=sum(sold.values()),
        checked_in=sum(by_type.values()),
        refused=refused["refused"] if refused is not None else 0,
        ticket_types=[TypeCount(one, sold.get(one, 0), inside) for one, inside in by_type.items()],
        gates=[GateCount(gate or None, inside) for gate, inside in sorted(by_gate.items())],
    )
