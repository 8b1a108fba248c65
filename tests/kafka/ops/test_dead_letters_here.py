"""Dead letters on Apache Kafka: the tests are the same on every broker; here they run on this one."""

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
