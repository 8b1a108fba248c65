"""Every bounded pool and queue of an API process, and its shares. The table in operations lists the same.

A user's share suffices for one person with a few devices. A network's share suffices for an office, or for many phones
behind one address, and is never the whole. The numbers apply to one process.
"""

from __future__ import annotations

import os

from api.fairness.limits import (
    BACKGROUND_QUEUE_MAX,
    EXPORTS_MAX,
    GZIP_WAITING_MAX,
    HISTORY_AT_ONCE_MAX,
    IN_FLIGHT_MAX,
    PASSWORD_QUEUE_MAX,
    POSTGRES_CONNECTIONS_MAX,
    REDIS_LIMITS_MAX,
    REDIS_READS_MAX,
    SEAT_MAPS_SENT_MAX,
    SSE_CLIENTS_MAX,
    UNDECIDED_MAX,
)
from api.fairness.owner import Lane
from api.fairness.shares import FairShare

PASSWORD_THREADS = max(1, (os.cpu_count() or 2) // 2)  # half of the cores stay with the sales

STREAMS = FairShare(
    name="live streams",
    places=SSE_CLIENTS_MAX,
    user=20,  # tabs and devices of one person
    network=500,  # an office that watches a drop
    kept={Lane.READ: 500},  # streams of events leave these to the notifications of buyers
)
LOG = FairShare(
    name="commands under way",
    places=IN_FLIGHT_MAX,
    user=5_000,  # two dozen batches of a door at once; the rate of writes allows a buyer 700
    network=15_000,  # all buyers of a drop may come through one proxy that hides addresses
    kept={Lane.SALE: 1_000, Lane.READ: 2_000, Lane.HEAVY: 2_000},
)
UNDECIDED = FairShare(
    name="undecided commands",  # of one partition; the figures shrink together while decisions take too long
    places=UNDECIDED_MAX,
    user=UNDECIDED_MAX // 4,
    network=UNDECIDED_MAX * 9 // 10,
    line=UNDECIDED_MAX // 2,
    user_line=UNDECIDED_MAX // 20,
    network_line=UNDECIDED_MAX * 9 // 20,
    kept={Lane.SALE: UNDECIDED_MAX // 10, Lane.READ: UNDECIDED_MAX // 5, Lane.HEAVY: UNDECIDED_MAX // 5},
    line_kept={Lane.SALE: UNDECIDED_MAX // 10, Lane.READ: UNDECIDED_MAX // 5, Lane.HEAVY: UNDECIDED_MAX // 5},
)
POSTGRES = FairShare(
    name="PostgreSQL connections",
    places=POSTGRES_CONNECTIONS_MAX,
    user=4,
    network=7,
    line=2_000,  # each waits POSTGRES_TIMEOUT_S at most
    user_line=200,
    network_line=900,
    kept={Lane.SALE: 1, Lane.READ: 2, Lane.HEAVY: 6},
    line_kept={Lane.SALE: 100, Lane.READ: 400, Lane.HEAVY: 1_600},
)
REDIS_READS = FairShare(
    name="Redis reads",
    places=REDIS_READS_MAX,
    user=4,
    network=12,
    line=1_000,  # a read takes a millisecond; watchers of the same event share it
    user_line=100,
    network_line=500,
    kept={Lane.HEAVY: 12},
    line_kept={Lane.HEAVY: 900},
)
PASSWORDS = FairShare(
    name="password hashing",
    places=PASSWORD_THREADS,
    user=1,
    network=PASSWORD_THREADS,
    line=PASSWORD_QUEUE_MAX,
    user_line=4,
    network_line=PASSWORD_QUEUE_MAX // 2,
    line_kept={Lane.READ: PASSWORD_QUEUE_MAX // 2},  # registrations leave half of the line to logins
)
DRAWING = FairShare(
    name="drawing",
    places=1,
    user=1,
    network=1,
    line=BACKGROUND_QUEUE_MAX,
    user_line=BACKGROUND_QUEUE_MAX // 8,
    network_line=BACKGROUND_QUEUE_MAX // 2,
)
SCANS = FairShare(
    name="batches of scans",
    places=1,
    user=1,
    network=1,
    line=2 * BACKGROUND_QUEUE_MAX,
    user_line=BACKGROUND_QUEUE_MAX // 2,
    network_line=BACKGROUND_QUEUE_MAX,
)
HISTORY = FairShare(
    name="answers read from the log",
    places=HISTORY_AT_ONCE_MAX,
    user=1,
    network=HISTORY_AT_ONCE_MAX - 1,
    line=12,  # an answer takes a second, ten at most
    user_line=2,
    network_line=4,
)

SEAT_MAPS = FairShare(
    name="seat maps",
    places=8,  # maps of different events, made one after the other
    user=2,
    network=4,
    line=64,
    user_line=4,
    network_line=32,
)
SEAT_MAPS_SENT = FairShare(
    name="large seat maps on their way",
    places=SEAT_MAPS_SENT_MAX,
    user=4,
    network=SEAT_MAPS_SENT_MAX // 2,
    line=2_000,  # a compressed map takes some milliseconds to send
    user_line=8,
    network_line=1_000,
)
EXPORTS = FairShare(
    name="exports",
    places=EXPORTS_MAX,
    user=2,
    network=EXPORTS_MAX // 2,
)
COMPRESSION = FairShare(
    name="large answers to be compressed",
    places=1,
    user=1,
    network=1,
    line=GZIP_WAITING_MAX,  # without a place the answer is sent uncompressed
    user_line=2,
    network_line=GZIP_WAITING_MAX // 2,
)
REDIS_LIMITS = FairShare(
    name="Redis connections for rate limits",
    places=REDIS_LIMITS_MAX,
    user=2,
    network=REDIS_LIMITS_MAX // 2,
    line=1_000,  # a millisecond each; without a place this process counts alone
    user_line=50,
    network_line=500,
)

SHARES = (
    STREAMS, LOG, UNDECIDED, POSTGRES, REDIS_READS, PASSWORDS, DRAWING, SCANS, HISTORY, SEAT_MAPS, SEAT_MAPS_SENT,
    EXPORTS, COMPRESSION, REDIS_LIMITS,
)  # fmt: skip
