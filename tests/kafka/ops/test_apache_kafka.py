"""Apache Kafka on the JVM: topics as specified, and a log that survives kill -9 on the same port."""

from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from connectors.topics import apply_topics, describe_topics
from ops.run.services import kafka_classes
from ops.run.services.apache_kafka import ApacheKafka, KafkaNode
from ops.run.services.stack import Stack
from schemas.topics import COMMANDS, all_topics

TIMEOUT_S = 20.0


def test_topics_are_as_specified_and_applying_twice_changes_nothing(stack: Stack) -> None:
    stack.fresh()
    assert {one.change for one in apply_topics(stack.kafka.url)} == {"unchanged"}
    states = {state.name: state for state in describe_topics(stack.kafka.url)}
    for spec in all_topics(8):
        assert states[spec.name].partitions == spec.partitions
        assert states[spec.name].config == dict(spec.config) | {"min.insync.replicas": "1"}  # one broker, its default


def test_configuration_that_differs_is_mended(stack: Stack) -> None:
    stack.fresh()
    wrong = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, COMMANDS, incremental_configs=[wrong])
    client = AdminClient({"bootstrap.servers": stack.kafka.url})
    for future in client.incremental_alter_configs([resource]).values():
        future.result()
    applied = {one.topic: one for one in apply_topics(stack.kafka.url)}
    assert applied[COMMANDS].change == "configured"
    assert applied[COMMANDS].config == {"retention.ms": "-1"}
    assert {one.change for one in apply_topics(stack.kafka.url)} == {"unchanged"}


def test_a_record_survives_kill_9_and_the_broker_stamps_it(stack: Stack) -> None:
    stack.fresh()
    producer = Producer({"bootstrap.servers": stack.kafka.url, "enable.idempotence": True})
    producer.produce(COMMANDS, b"command", key=b"event", partition=0, timestamp=1)
    assert producer.flush(TIMEOUT_S) == 0
    address = stack.kafka.url
    stack.kafka.restart(kill=True)
    assert stack.kafka.url == address
    consumer = Consumer({"bootstrap.servers": address, "group.id": "reader", "auto.offset.reset": "earliest"})
    try:
        consumer.assign([TopicPartition(COMMANDS, 0, 0)])
        record = consumer.poll(TIMEOUT_S)
        assert record is not None
        assert record.error() is None
        assert record.value() == b"command"
        assert record.timestamp()[1] > 1_000_000_000_000, "LogAppendTime, not the producer's"
    finally:
        consumer.close()


def test_fresh_leaves_no_record_behind(stack: Stack) -> None:
    stack.fresh()
    producer = Producer({"bootstrap.servers": stack.kafka.url})
    producer.produce(COMMANDS, b"command", partition=0)
    assert producer.flush(TIMEOUT_S) == 0
    stack.fresh()
    consumer = Consumer({"bootstrap.servers": stack.kafka.url, "group.id": "reader"})
    try:
        assert consumer.get_watermark_offsets(TopicPartition(COMMANDS, 0), TIMEOUT_S) == (0, 0)
    finally:
        consumer.close()


def test_three_nodes_carry_on_when_one_is_killed() -> None:
    with ApacheKafka(nodes=3) as kafka:
        apply_topics(kafka.url, partitions=2)
        assert {state.replication for state in describe_topics(kafka.url, partitions=2)} == {3}
        kafka.kill(node=3)
        producer = Producer({"bootstrap.servers": kafka.url, "acks": "all", "enable.idempotence": True})
        for partition in (0, 1):
            producer.produce(COMMANDS, b"command", partition=partition)
        assert producer.flush(TIMEOUT_S * 2) == 0


def test_a_broker_takes_its_classes_from_their_archive() -> None:
    archive = kafka_classes.archive()
    assert archive is not None
    with KafkaNode() as node:
        assert str(archive) in Path(f"/proc/{node.pid}/maps").read_text()
