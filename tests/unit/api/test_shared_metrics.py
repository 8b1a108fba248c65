"""A scrape of several API processes has each series that the client's own merging has, with the same value."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.reads.request_totals import ANSWERS, BUCKETS

PROCESS = """
import sys
import msgspec
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from api.metrics import METRICS
from api.reads.request_totals import RESERVE

def scrapes():
    client = CollectorRegistry()
    multiprocess.MultiProcessCollector(client)
    return METRICS.exposition().decode(), generate_latest(client).decode()

reserve, events, never = (METRICS.observer(*of) for of in (("POST", RESERVE), ("GET", "/v1/events"), ("GET", "/v1/me")))
METRICS.set_gauges(unacknowledged=1, waiting=2, streams=3, admission=4, cpu_s=5.0)
METRICS.set_lives({"payments": True}, {("payments", "KeyError"): 2})
METRICS.set_share("user", 1, 2)
METRICS.share_refused("user", "why")
METRICS.tokens_recognized.inc()
METRICS.edge_records.inc()
found = [scrapes()]
answers = (reserve, 201, 0.004), (reserve, 409, 40.0), (events, 200, 0.0), (reserve, 201, 0.004)
for observe, status, seconds in answers:
    observe(status, seconds)
    found.append(scrapes())
METRICS.observer("GET", '/v1/"late"')(200, 0.01)
found.append(scrapes())
sys.stdout.buffer.write(msgspec.json.encode(found))
"""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    found = [one for family in text_string_to_metric_families(text) for one in family.samples]
    values = {(one.name, frozenset(one.labels.items())): one.value for one in found}
    assert len(values) == len(found), "no series twice"
    return values


def heads(text: str) -> list[str]:
    """The lines that say what each family is."""
    return sorted(line for line in text.splitlines() if line.startswith("#"))


@pytest.mark.parametrize("processes", [1, 3])
def test_a_scrape_of_workers_has_the_series_of_the_client(tmp_path: Path, processes: int) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    reservations = ("method", "POST"), ("route", "/v1/events/<event_id>/reservations")
    for number in range(1, processes + 1):
        done = subprocess.run([sys.executable, "-c", PROCESS], env=environment, check=True, capture_output=True)
        for ours, clients in msgspec.json.decode(done.stdout, type=list[tuple[str, str]]):
            assert samples(ours) == samples(clients)
            assert heads(ours) == heads(clients)
        found = samples(ours)
        assert found[ANSWERS, frozenset([*reservations, ("status", "201")])] == 2 * number
        assert found[BUCKETS, frozenset([*reservations, ("le", "+Inf")])] == 3 * number
