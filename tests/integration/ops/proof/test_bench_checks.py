"""A bench's checks in the rows find places beyond the capacity and seats that two live reservations have."""

from __future__ import annotations

from connectors.postgres import Connection, connect
from connectors.settings import Settings
from ops.proof.bench.oversold import oversold
from ops.proof.load.open_loop import Target

INSERT = """
INSERT INTO reservations (id, event_id, partition, "offset", user_id, ticket_type_id, status, quantity, seats,
                          fingerprint, created_at, updated_at, updated_offset, updated_index)
VALUES ($1, $2, 0, 0, 'ada', 'stalls', $3, $4, $5, 0, 1, 1, 0, 0)
"""


async def found(connection: Connection) -> tuple[int, int]:
    """Places beyond the capacity, and seats twice, of an event of 4 places and one of 10."""
    return await oversold(connection, [Target("small", ["stalls"], 4), Target("large", ["stalls"], 10)])


async def test_live_reservations_count_and_ended_ones_do_not(settings: Settings) -> None:
    connection = await connect(settings.postgres_url)
    try:
        assert await found(connection) == (0, 0)
        await connection.execute(INSERT, "1", "small", "held", 2, ["A-1", "A-2"])
        await connection.execute(INSERT, "2", "small", "confirmed", 2, ["A-3", "A-4"])
        await connection.execute(INSERT, "3", "small", "expired", 2, ["A-1", "A-2"])
        await connection.execute(INSERT, "4", "large", "held", 2, ["A-1", "A-2"])
        await connection.execute(INSERT, "5", "elsewhere", "held", 2, ["A-1", "A-1"])
        assert await found(connection) == (0, 0)
        await connection.execute(INSERT, "6", "small", "held", 1, ["A-1"])
        assert await found(connection) == (1, 1)
        await connection.execute(INSERT, "7", "large", "confirmed", 9, [])
        assert await found(connection) == (2, 1)
    finally:
        await connection.close()
