"""A record that cannot be read stops nothing: it goes to the dead letters with its origin, and a fact says so."""

from __future__ import annotations

from confluent_kafka import Producer

from schemas.topics import COMMANDS
from tests.harness.faults import HOLD_TTL_S, PER_SECOND
from tests.harness.stage import Stage

# The largest record that a topic takes: with our own headers, its dead letter and its fact would be too large.
LARGEST, LARGE_HEADERS = 1_000_000, [("traceparent", b"t" * 40_000), ("other", b"o" * 5_000)]
NO_DATE_MS = 1 << 50  # beyond the year 9999; a broker that stamps records itself ignores it


def test_unreadable_records_are_put_aside_and_everything_behind_them_goes_on(stage: Stage) -> None:
    """Unreadable records go to the dead letters with their origin; all later records go on."""
    drop = stage.drop(hold_ttl_s=HOLD_TTL_S)
    garbage = [b"", b"garbage", b"\0\0\0\0\1cut short", b"\0\0\0\xff\xff", b"{}" * 40_000, b"x" * LARGEST, None]
    raw = Producer({"bootstrap.servers": stage.settings.kafka_bootstrap_servers, "message.max.bytes": 1_048_576})
    before = stage.settled(no_holds=False).counts["unreadable"] if len(stage.drops) > 1 and stage.drops[0].told else 0
    with drop.rush(PER_SECOND) as crowd:
        for value in garbage:
            crowd.wait_sent(15)
            for event in drop.events:
                raw.produce(COMMANDS, value, event.encode(), headers=LARGE_HEADERS, timestamp=NO_DATE_MS)
            assert raw.flush(10) == 0
        crowd.wait_sent(50)
    report = stage.settled()
    assert report.counts["unreadable"] - before == len(garbage) * len(drop.events)
    assert report.counts["dead_letters"] >= report.counts["unreadable"]
    assert report.counts["CommandUnreadable"] == report.counts["unreadable"]
