"""The ingress bench runs, and its log has each acknowledged request. No figure is asserted: machines differ."""

from __future__ import annotations

import json

import pytest
from msgspec import structs

from ops.cli.main import run
from ops.proof.bench.ingress import IngressOptions, IngressRound, report
from ops.proof.load.open_loop import Result
from ops.statistics import Latencies, ProcessCpu

NONE = Latencies(count=0, p50_ms=0.0, p95_ms=0.0, p99_ms=0.0, max_ms=0.0)


@pytest.mark.long
def test_ingress_bench_finds_each_acknowledged_request_on_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "ingress", "--rate", "100", "--seconds", "1", "--rounds", "2", "--events", "2"]
    assert run([*arguments, "--buyers", "20", "--partitions", "2", "--warm-up-s", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["rounds"]) == 2
    for one in found["rounds"]:
        assert one["acknowledged"] == one["requests"] == one["latency"]["count"] == 100
        assert {process["name"] for process in one["cpu"]} >= {"api", "postgres", "valkey"}
    assert found["recorded"] == found["acknowledged"] == 300, "with 100 of the warm-up"
    assert found["api_us_per_request"] > 0
    assert [one["count"] for one in found["baseline"]] == [100, 100]


def test_ingress_bench_fails_if_an_acknowledged_request_is_not_on_the_log() -> None:
    cpu = [ProcessCpu("api", 0.1, 100.0, True)]
    rounds = [IngressRound(requests=10, acknowledged=9, outcomes={"pending": 9}, latency=NONE, cpu=cpu)]
    sent = Result(
        due=10, sent=10, seconds=1.0, outcomes={"pending": 9, "no-answer": 1}, places_asked=10, latency=NONE,
        client_cpu_s=0.1,
    )  # fmt: skip
    for recorded, passed in ((8, False), (9, True), (10, True), (11, False)):
        assert report(IngressOptions(), rounds, [sent], recorded).passed is passed
    nothing = structs.replace(sent, outcomes={"no-answer": 10})
    assert not report(IngressOptions(), rounds, [nothing], 0).passed
