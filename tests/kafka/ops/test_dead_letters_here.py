"""Dead letters on Apache Kafka: tests that are the same on every broker, collected here for this one."""

from tests.integration.ops.test_dead_letters import (
    circle,
    test_a_letter_goes_back_once_as_it_was,
    test_a_letter_goes_back_with_a_field_mended_and_only_once,
)

__all__ = [
    "circle",
    "test_a_letter_goes_back_once_as_it_was",
    "test_a_letter_goes_back_with_a_field_mended_and_only_once",
]
