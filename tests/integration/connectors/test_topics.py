"""Topics are made as specified, once, and another partition count is refused; `tests/kafka` has the same for Apache
Kafka.
"""

import pytest

from connectors.errors import ServiceUnreachable, TopicMismatch
from connectors.topics import apply_topics, describe_topics
from ops.run.services.process import free_port
from ops.run.services.stack import Stack
from schemas.topics import all_topics


@pytest.fixture
def broker(stack: Stack) -> str:
    """A broker without topics."""
    stack.kafka.restart(kill=True)
    return stack.kafka.url


def test_applying_twice_changes_nothing(broker: str) -> None:
    assert {one.change for one in apply_topics(broker)} == {"created"}
    assert {one.change for one in apply_topics(broker)} == {"unchanged"}


def test_the_broker_has_what_is_specified(broker: str) -> None:
    apply_topics(broker, partitions=3)
    states = {state.name: state for state in describe_topics(broker, partitions=3)}
    for spec in all_topics(3):
        assert states[spec.name].partitions == spec.partitions
        assert states[spec.name].config["retention.ms"] == spec.config["retention.ms"]


def test_a_dry_run_creates_nothing(broker: str) -> None:
    assert {one.change for one in apply_topics(broker, dry_run=True)} == {"created"}
    assert {state.partitions for state in describe_topics(broker)} == {0}


def test_another_partition_count_is_refused(broker: str) -> None:
    apply_topics(broker, partitions=8)
    with pytest.raises(TopicMismatch, match=r"tickets\.commands has 8 partitions .* set CIRCLE_PARTITIONS=8"):
        apply_topics(broker, partitions=9)
    assert {state.partitions for state in describe_topics(broker)} == {8, 4, 1}


def test_no_broker_is_named_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.topics.TIMEOUT_S", 0.5)
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ServiceUnreachable, match=f"Kafka at {address} cannot be reached"):
        apply_topics(address)
