"""`circle replay redis` on Apache Kafka: the test is the same on every broker; here it runs on this one."""

from tests.integration.ops.conftest import circle
from tests.integration.ops.rebuild.test_redis import test_damage_is_found_and_the_owner_shows_the_truth_again

__all__ = ["circle", "test_damage_is_found_and_the_owner_shows_the_truth_again"]
