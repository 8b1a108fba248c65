"""Redis against the checker's own fold: claims, counters, and foreign locks on what is sold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import redis

from ops.proof.checker.event_ledger import EventLedger
from ops.proof.checker.report import Report
from schemas.ids import EventId
from schemas.statuses import WaitlistStatus


def check_redis(client: redis.Redis, ledgers: Mapping[EventId, EventLedger], report: Report) -> None:
    """Compare Redis with the fold of each existing event. `client` decodes responses."""
    for event_id, ledger in ledgers.items():
        if not ledger.exists:
            continue
        report.counts["redis_events"] += 1
        _claims(client, event_id, ledger, report)
        _availability(client, event_id, ledger, report)


def _claims(client: redis.Redis, event_id: EventId, ledger: EventLedger, report: Report) -> None:
    key = f"circle:{{{event_id}}}:claims"
    stored: Any = client.hgetall(key)
    shown = {place: tuple(claim.split("|")[:2]) for place, claim in stored.items()}
    wanted = ledger.claims()
    report.counts["redis_claims"] += len(shown)
    for place in shown.keys() | wanted.keys():
        if shown.get(place) != wanted.get(place):
            report.add("redis", f"{key} {place}", f"shows {shown.get(place)}, by the log {wanted.get(place)}")
    foreign: Any = client.hgetall(f"circle:{{{event_id}}}:foreign")
    for place in foreign.keys() & wanted.keys():
        report.add("locked-seat-sold", f"{event_id} {place}", f"{foreign[place]} has it, and so has {wanted[place]}")


def _availability(client: redis.Redis, event_id: EventId, ledger: EventLedger, report: Report) -> None:
    key = f"circle:{{{event_id}}}:availability"
    stored: Any = client.hgetall(key)
    for type_id, kind in ledger.kinds.items():
        shown = json.loads(stored.get(type_id, "{}"))
        wanted = {
            "total": kind.total,
            "available": ledger.free(type_id),
            "held": kind.held,
            "sold": kind.sold,
            "blocked": sum(count for _, count in kind.blocked.values()),
            "waiting": sum(
                one.ticket_type_id == type_id for one in ledger.line.values() if one.status == WaitlistStatus.WAITING
            ),
        }
        if shown != wanted:
            report.add("redis", f"{key} {type_id}", f"shows {shown}, by the log {wanted}")
