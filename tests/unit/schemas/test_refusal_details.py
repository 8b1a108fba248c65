"""A refusal's detail and its fields say the same, and the reader needs the fields only."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas import refusal_details

FIELDS = st.sampled_from(["ends_at", "price.amount", "layout"])


@given(FIELDS, st.text(max_size=30))
def test_the_text_about_a_field_is_read_as_it_was_written(field: str, text: str) -> None:
    assert refusal_details.text_about(field, refusal_details.about(field, text)) == text


@given(FIELDS, st.text(max_size=30).filter(lambda text: " " not in text))
def test_a_detail_about_another_field_stays_whole(field: str, detail: str) -> None:
    assert refusal_details.text_about(field, detail) == detail


def test_the_moment_is_written_as_a_date_where_the_rules_have_put_it() -> None:
    at = 1_767_225_600_000_000
    assert refusal_details.dated(f"first scanned at {at}, gate {at}", at) == (
        f"first scanned at 2026-01-01T00:00:00Z, gate {at}"
    )
    assert refusal_details.dated("sold out", at) == "sold out"
    assert refusal_details.dated(f"sales open at {at}", 0) == f"sales open at {at}"
