"""Ended sessions: their tokens are refused until they would have expired."""

from __future__ import annotations

from uuid import uuid4

import pytest

from api.auth.keys import KeyRing
from api.auth.sessions import EndedSessions
from api.auth.tokens import AccessTokens, Role
from api.fairness.limits import ACCESS_TOKEN_TTL_S, SESSIONS_ENDED_MAX
from api.http.problem import Problem

USER, SESSION, OTHER = (str(uuid4()) for _ in range(3))


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_tokens_of_an_ended_session_are_refused_and_no_others(clock: Clock) -> None:
    ended = EndedSessions(clock)
    tokens = AccessTokens(KeyRing.load(None), clock, ended=ended)
    mine, elsewhere, without = (
        "Bearer " + tokens.issue(USER, Role.BUYER, session_id=one) for one in (SESSION, OTHER, "")
    )
    caller = tokens.caller(mine)
    assert (caller.session_id, tokens.is_open(caller)) == (SESSION, True)
    ended.add([SESSION])
    assert not tokens.is_open(caller)
    with pytest.raises(Problem) as raised:  # it was verified and remembered before
        tokens.caller(mine)
    assert (raised.value.slug, "ended" in raised.value.detail) == ("unauthorized", True)
    assert tokens.caller(elsewhere).session_id == OTHER
    assert tokens.caller(without).session_id == ""


def test_an_ended_session_is_remembered_for_as_long_as_a_token_lives(clock: Clock) -> None:
    ended = EndedSessions(clock)
    ended.add([SESSION])
    clock.now += ACCESS_TOKEN_TTL_S - 1
    ended.add([OTHER, SESSION])
    assert SESSION in ended
    clock.now += 1
    ended.add([])
    assert SESSION not in ended
    assert OTHER in ended


def test_ended_sessions_are_bounded(clock: Clock) -> None:
    ended = EndedSessions(clock)
    ended.add(str(number) for number in range(SESSIONS_ENDED_MAX + 10))
    assert len(ended) == SESSIONS_ENDED_MAX
    assert "9" not in ended
    assert "10" in ended
