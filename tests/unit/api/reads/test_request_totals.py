"""Totals of requests come from the API's own metrics: watching is no business, and an outcome's time has its bucket."""

from __future__ import annotations

from api.reads.request_totals import request_totals

TEXT = """
circle_http_requests_total{method="POST",route="/v1/events/<event_id>/reservations",status="201"} 5.0
circle_http_requests_total{method="POST",route="/v1/events/<event_id>/reservations",status="409"} 2.0
circle_http_requests_total{method="GET",route="/v1/events",status="200"} 3.0
circle_http_requests_total{method="GET",route="/v1/operator/platform",status="200"} 900.0
circle_http_requests_total{method="GET",route="/readyz",status="503"} 40.0
circle_http_request_seconds_bucket{le="+Inf",method="POST",route="/v1/events/<event_id>/reservations"} 7.0
circle_http_request_seconds_bucket{le="0.01",method="POST",route="/v1/events/<event_id>/reservations"} 4.0
circle_http_request_seconds_bucket{le="0.01",method="GET",route="/v1/events"} 3.0
circle_api_requests_waiting 6.0
circle_api_live_streams 11.0
"""


def test_answers_are_counted_by_their_kind_without_those_to_watchers() -> None:
    assert request_totals(TEXT).answers == {"2": 8, "4": 2}


def test_reservations_have_their_times() -> None:
    found = request_totals(TEXT)
    assert (found.reservations, found.buckets) == (7, [[0.01, 4], [None, 7]])
    assert (found.waiting, found.streams) == (6, 11)


def test_a_platform_without_requests_has_none() -> None:
    found = request_totals("")
    assert (found.answers, found.reservations, found.buckets) == ({}, 0, [])
