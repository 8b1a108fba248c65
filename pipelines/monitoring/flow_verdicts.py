"""Which flows keep dying, from what their processes have written to Redis about their lives. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from connectors.flow_health import dying, recent_deaths
from pipelines.flows import Flow


class FlowVerdicts(NamedTuple):
    """Whether each flow keeps dying, and its deaths by flow and the error's class until it is steady again."""

    dying: dict[str, bool]
    deaths: dict[tuple[str, str], int]


def verdicts_of(lives: Sequence[Any], now_s: float) -> FlowVerdicts:
    """The verdicts. `lives` has for each flow, in order, its last deaths and when one of its processes became ready."""
    verdicts = FlowVerdicts({}, {})
    for number, flow in enumerate(Flow):
        records, ready_at = lives[2 * number], lives[2 * number + 1]
        verdicts.dying[flow.value] = dying(records, ready_at, now_s) is not None
        for one in recent_deaths(records, ready_at, now_s):
            key = flow.value, one.kind
            verdicts.deaths[key] = verdicts.deaths.get(key, 0) + 1
    return verdicts
