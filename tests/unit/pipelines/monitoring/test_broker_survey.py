"""A client that gets no answer about a group is replaced: it may wait for ever for a coordinator that is gone."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException

from connectors.settings import Settings
from pipelines.monitoring.services import BrokerSurvey, GroupState


class Client:
    """Answers about each group, or with an error."""

    def __init__(self, error: int | None) -> None:
        self._error = error

    def list_topics(self, timeout: float) -> Any:
        return SimpleNamespace(topics={}, brokers={1: "kafka"})

    def describe_consumer_groups(self, groups: list[str], request_timeout: float) -> dict[str, Future[Any]]:
        return {group: self._answer() for group in groups}

    def _answer(self) -> Future[Any]:
        answer: Future[Any] = Future()
        if self._error is None:
            answer.set_result(SimpleNamespace(state=ConsumerGroupState.STABLE, members=[1, 2]))
        else:
            answer.set_exception(KafkaException(KafkaError(self._error)))
        return answer


@pytest.mark.parametrize(
    ("error", "made"), [(KafkaError._TIMED_OUT, 2), (KafkaError.GROUP_AUTHORIZATION_FAILED, 1), (None, 1)]
)
def test_only_a_client_without_an_answer_is_replaced(
    monkeypatch: pytest.MonkeyPatch, error: int | None, made: int
) -> None:
    clients = [Client(error), Client(None)]
    given = iter(clients)
    monkeypatch.setattr("pipelines.monitoring.services.admin", lambda _settings: next(given))
    survey = BrokerSurvey(Settings(), ["circle.reservations", "circle.payments"])
    first, second = survey.look(), survey.look()
    assert first is not None
    assert second is not None
    answered = {group: GroupState("stable", 2) for group in ("circle.reservations", "circle.payments")}
    assert first.groups == ({} if error is not None else answered)
    assert second.groups == (answered if made == 2 or error is None else {})
    assert len(list(given)) == len(clients) - made
