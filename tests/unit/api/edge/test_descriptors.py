"""There are never more connections than descriptors for them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api.edge.descriptors import within
from api.limits import CONNECTIONS_MAX, CONNECTIONS_REFUSED_MAX, DESCRIPTORS_RESERVED


@given(st.integers(16, 100_000))
def test_connections_and_our_own_files_fit_into_the_descriptors(descriptors: int) -> None:
    limits = within(descriptors)
    assert 1 <= limits.connections_max <= CONNECTIONS_MAX
    assert limits.connections_max + limits.refused_max + min(DESCRIPTORS_RESERVED, descriptors // 2) <= descriptors


def test_with_enough_descriptors_the_maxima_hold() -> None:
    limits = within(CONNECTIONS_MAX + CONNECTIONS_REFUSED_MAX + DESCRIPTORS_RESERVED)
    assert (limits.connections_max, limits.refused_max) == (CONNECTIONS_MAX, CONNECTIONS_REFUSED_MAX)
    assert within(1024).connections_max == 438
