"""A broker from a container has the same topics as one from jars, where a Docker engine answers."""

from connectors.topics import apply_topics
from ops.run.services.stack import Stack


def test_topics_on_a_container(docker_stack: Stack) -> None:
    apply_topics(docker_stack.kafka.url)
    assert {one.change for one in apply_topics(docker_stack.kafka.url)} == {"unchanged"}
