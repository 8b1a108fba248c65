"""Queues second by second: gauges are those of the moment, counters what came since the moment before."""

from __future__ import annotations

from ops.proof.bench.queues import QueueSecond, Sample, parsed, queues_of

BEFORE = """
# TYPE circle_api_share_refused counter
circle_api_share_refused_total{share="undecided commands",why="network"} 3.0
circle_api_share_refused_total{share="undecided commands",why="all"} 1.0
circle_api_share_refused_total{share="PostgreSQL connections",why="all"} 9.0
# TYPE circle_api_loop_lag_seconds summary
circle_api_loop_lag_seconds_sum 1.0
circle_api_loop_lag_seconds_count 100
# TYPE circle_record_age_seconds histogram
circle_record_age_seconds_sum{stage="decided"} 1.0
circle_record_age_seconds_count{stage="decided"} 10
# TYPE circle_http_request_seconds histogram
circle_http_request_seconds_sum{method="POST",route="/v1/events/<event_id>/reservations"} 1.0
circle_http_request_seconds_count{method="POST",route="/v1/events/<event_id>/reservations"} 10
"""
AFTER = """
# TYPE circle_api_admission_limit gauge
circle_api_admission_limit 1100
# TYPE circle_api_commands_unacknowledged gauge
circle_api_commands_unacknowledged 12
# TYPE circle_api_requests_waiting gauge
circle_api_requests_waiting 41
# TYPE circle_api_share_in_use gauge
circle_api_share_in_use{share="undecided commands"} 40
# TYPE circle_api_share_waiting gauge
circle_api_share_waiting{share="undecided commands"} 7
# TYPE circle_api_share_refused counter
circle_api_share_refused_total{share="undecided commands",why="network"} 5.0
circle_api_share_refused_total{share="undecided commands",why="all"} 1.0
circle_api_share_refused_total{share="PostgreSQL connections",why="all"} 12.0
# TYPE circle_api_loop_lag_seconds summary
circle_api_loop_lag_seconds_sum 3.0
circle_api_loop_lag_seconds_count 110
# TYPE circle_record_age_seconds histogram
circle_record_age_seconds_sum{stage="decided"} 3.0
circle_record_age_seconds_count{stage="decided"} 30
# TYPE circle_http_request_seconds histogram
circle_http_request_seconds_sum{method="POST",route="/v1/events/<event_id>/reservations"} 1.5
circle_http_request_seconds_count{method="POST",route="/v1/events/<event_id>/reservations"} 12
"""


def test_a_second_has_the_lengths_of_queues_and_the_means_of_what_came_in_it() -> None:
    samples = [Sample(99.0, parsed(BEFORE)), Sample(101.0, parsed(AFTER))]
    assert queues_of(samples, 100.0) == [
        QueueSecond(
            at_s=1.0,
            unacknowledged=12,
            undecided=40,
            limit=1_100,
            in_line=7,
            waiting=41,
            refused={"network": 2},
            answer_ms=250.0,
            loop_lag_ms=200.0,
            decided_ms=100.0,
            persisted_ms=0.0,
        )
    ]


def test_what_was_sampled_before_the_first_request_is_left_out() -> None:
    samples = [Sample(98.0, parsed(BEFORE)), Sample(99.0, parsed(AFTER)), Sample(100.5, parsed(AFTER))]
    assert [second.at_s for second in queues_of(samples, 100.0)] == [0.5]
    assert queues_of(samples[:1], 0.0) == []
