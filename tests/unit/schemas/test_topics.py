"""The topics are those of the design's table."""

from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS, RETENTION_FOREVER_MS, all_topics, dead_letters

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


def test_the_log_is_kept_forever() -> None:
    specs = {spec.name: spec for spec in all_topics(8)}
    for name in (COMMANDS, FACTS):
        assert specs[name].config["retention.ms"] == str(RETENTION_FOREVER_MS)
        assert specs[name].config["cleanup.policy"] == "delete"
    assert dead_letters(FACTS) in specs
