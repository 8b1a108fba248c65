"""The topics that the code specifies agree with the design's table."""

from schemas.avro_reader import COMMAND_BYTES_MAX, RECORD_BYTES_MAX
from schemas.topics import (
    BATCH_BYTES_MAX,
    COMMANDS,
    FACTS,
    NOTIFICATIONS,
    RETENTION_FOREVER_MS,
    all_topics,
    dead_letters,
)
from sinks.dead_letters import HEADERS_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX

DAY_MS = 86_400_000


def test_the_table_of_the_design() -> None:
    table = {spec.name: (spec.key, spec.partitions, spec.retention_ms) for spec in all_topics(8)}
    assert table == {
        "tickets.commands": ("event_id", 8, -1),
        "tickets.facts": ("event_id", 8, -1),
        "notifications.outbound": ("user_id", 4, 7 * DAY_MS),
        "tickets.commands.dead-letters": ("as the original", 1, 30 * DAY_MS),
        "tickets.facts.dead-letters": ("as the original", 1, 30 * DAY_MS),
        "notifications.outbound.dead-letters": ("as the original", 1, 30 * DAY_MS),
    }


def test_facts_have_as_many_partitions_as_commands() -> None:
    specs = {spec.name: spec for spec in all_topics(32)}
    assert specs[COMMANDS].partitions == specs[FACTS].partitions == 32
    assert specs[NOTIFICATIONS].partitions == 4


def test_the_broker_stamps_commands_and_nothing_else() -> None:
    stamped = {spec.name for spec in all_topics(8) if spec.config["message.timestamp.type"] == "LogAppendTime"}
    assert stamped == {COMMANDS}


def test_a_record_that_can_be_read_fits_on_every_topic_and_so_does_the_dead_letter_of_any_other() -> None:
    assert COMMAND_BYTES_MAX < RECORD_BYTES_MAX < BATCH_BYTES_MAX
    assert {spec.config["max.message.bytes"] for spec in all_topics(8)} == {str(BATCH_BYTES_MAX)}
    assert RECORD_BYTES_MAX < VALUE_BYTES_MAX, "a letter keeps a readable record whole"
    assert VALUE_BYTES_MAX + KEY_BYTES_MAX + HEADERS_BYTES_MAX < BATCH_BYTES_MAX


def test_the_log_is_kept_forever() -> None:
    specs = {spec.name: spec for spec in all_topics(8)}
    for name in (COMMANDS, FACTS):
        assert specs[name].config["retention.ms"] == str(RETENTION_FOREVER_MS)
        assert specs[name].config["cleanup.policy"] == "delete"
    assert dead_letters(FACTS) in specs
