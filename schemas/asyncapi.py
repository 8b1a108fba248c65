"""The AsyncAPI document of all topics: what each holds, keys, headers, and the Avro schema of every record.

`python -m schemas.generate` writes it to `schemas/asyncapi.json`, and a test holds the file and the records equal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from schemas import cloudevents
from schemas.replies import REPLY_KEY, REPLY_TO
from schemas.topics import COMMANDS, DEAD_LETTER_SUFFIX, FACTS, NOTIFICATIONS, TopicSpec, all_topics

FILE = Path(__file__).parent / "asyncapi.json"
PARTITIONS = 8  # of commands and facts by default; CIRCLE_PARTITIONS sets them
AVRO = "application/vnd.apache.avro;version=1.9.0"
TEXT = {"type": "string"}

FAMILY_OF = {COMMANDS: "commands", FACTS: "facts", NOTIFICATIONS: "notifications"}
SOURCES = {
    "commands": (cloudevents.API, cloudevents.OPERATORS, cloudevents.PAYMENTS, cloudevents.RESERVATIONS),
    "facts": (cloudevents.RESERVATIONS,),
    "notifications": (cloudevents.NOTIFICATIONS,),
}
IDENTITY = {
    "commands": "The id of the request.",
    "facts": "The position of the fact: partition and offset of its command, and its index among that command's facts.",
    "notifications": "The position of the fact, the channel and the template.",
}
DESCRIPTION = """\
Every value is framed as Confluent's wire format has it: 0x00, the schema's id in four bytes, the Avro body. Ids come \
from the schema registry where one is configured, else from the manifest next to the schemas. Every record is a \
CloudEvent in the binary mode of the Kafka binding. Keys are texts; their partition is that of Kafka's own partitioner \
(murmur2). Reading is open to other programs. Only the platform writes."""
ORIGIN = {
    "origin_topic": "The topic where the record stood.",
    "origin_partition": "Its partition there.",
    "origin_offset": "Its offset there.",
    "origin_timestamp": "Its timestamp, milliseconds since the epoch.",
    "error": "Why it was set aside.",
    "set_aside_by": "The flow that could not process it, if only one could not.",
    "cut_bytes": "How many bytes were left out, because a letter has a bound.",
    "added_headers": "Headers of a CloudEvent that the original lacked, and that only its letter has.",
}


def render(families: Mapping[str, Iterable[dict[str, Any]]]) -> str:
    """The document as a file. `families` has the newest Avro schema of each record, by the family of its topic."""
    return json.dumps(document(families), indent=2) + "\n"


def document(families: Mapping[str, Iterable[dict[str, Any]]]) -> dict[str, Any]:
    """The document: AsyncAPI 3.0."""
    topics = all_topics(PARTITIONS)
    messages = {
        _message_name(family, schema): _message(family, schema)
        for family, schemas in families.items()
        for schema in schemas
    }
    messages["dead-letter"] = _dead_letter()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "General Circle: the log",
            "version": "1.0.0",
            "description": DESCRIPTION,
            "tags": [{"name": "tickets"}],
        },
        "servers": {
            "one-machine": {
                "host": "localhost:9092",
                "protocol": "kafka",
                "description": "The brokers that CIRCLE_KAFKA_BOOTSTRAP_SERVERS names; `circle env` prints it.",
            }
        },
        "defaultContentType": "application/avro",
        "channels": {topic.name: _channel(topic, families) for topic in topics},
        "operations": {_operation_name(topic): _operation(topic) for topic in topics},
        "components": {
            "messages": messages,
            "schemas": {f"{family}-headers": _headers(family) for family in families}
            | {"dead-letter-headers": _dead_letter_headers()},
        },
    }


def _channel(topic: TopicSpec, families: Mapping[str, Iterable[dict[str, Any]]]) -> dict[str, Any]:
    names = ["dead-letter"]
    if (family := FAMILY_OF.get(topic.name)) is not None:
        names = [_message_name(family, schema) for schema in families[family]]
    configuration: dict[str, Any] = {
        "cleanup.policy": [topic.config["cleanup.policy"]],
        "retention.ms": topic.retention_ms,
        "retention.bytes": int(topic.config["retention.bytes"]),
        "max.message.bytes": int(topic.config["max.message.bytes"]),
    }
    return {
        "address": topic.name,
        "title": topic.name,
        "description": f"Holds {topic.holds}. The key is {topic.key}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": configuration,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operation(topic: TopicSpec) -> dict[str, Any]:
    reads = topic.name == COMMANDS
    return {
        "action": "receive" if reads else "send",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "title": f"The platform {'decides' if reads else 'writes'} {topic.name}",
        "description": f"{topic.holds[:1].upper()}{topic.holds[1:]}.",
    }


def _operation_name(topic: TopicSpec) -> str:
    words = topic.name.replace("-", ".").split(".")
    return ("decide" if topic.name == COMMANDS else "write") + "".join(word.capitalize() for word in words)


def _message_name(family: str, schema: Mapping[str, Any]) -> str:
    return f"{family}.{schema['name']}"


def _message(family: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": schema["name"],
        "title": schema["name"],
        "summary": schema["doc"].partition(". ")[0].removesuffix(".") + ".",
        "contentType": "application/avro",
        "headers": {"$ref": f"#/components/schemas/{family}-headers"},
        "payload": {"schemaFormat": AVRO, "schema": schema},
        "bindings": {
            "kafka": {
                "key": TEXT,
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "schemaLookupStrategy": "RecordIdStrategy",
                "bindingVersion": "0.5.0",
            }
        },
    }


def _headers(family: str) -> dict[str, Any]:
    """The headers of a family's records: CloudEvents, and our own."""
    properties: dict[str, Any] = {
        "ce_specversion": {**TEXT, "const": "1.0"},
        "ce_id": {**TEXT, "description": IDENTITY[family]},
        "ce_type": {**TEXT, "description": "The name of the record type."},
        "ce_source": {**TEXT, "enum": sorted(SOURCES[family])},
        "ce_time": {**TEXT, "format": "date-time"},
        "content-type": {**TEXT, "const": "application/avro"},
        "traceparent": {**TEXT, "description": "The request's trace context (W3C), if it has one."},
    }
    required = [name for name in properties if name != "traceparent"]
    if family == "notifications":
        properties["channel"] = {**TEXT, "description": "The channel of the message: inbox, stream or mail."}
    else:
        properties[REPLY_TO] = {**TEXT, "description": "The channel on which the API process waits for the outcome."}
        properties[REPLY_KEY] = {**TEXT, "description": "The key that seals the reply; a secret of that process."}
    return {"type": "object", "properties": properties, "required": required}


def _dead_letter() -> dict[str, Any]:
    return {
        "name": "DeadLetter",
        "title": "A dead letter",
        "summary": "The original record: its key, its bytes and its headers, with its origin and the error.",
        "contentType": "application/octet-stream",
        "headers": {"$ref": "#/components/schemas/dead-letter-headers"},
        "payload": {"type": "string", "format": "binary"},
        "bindings": {"kafka": {"key": TEXT, "bindingVersion": "0.5.0"}},
    }


def _dead_letter_headers() -> dict[str, Any]:
    return {
        "type": "object",
        "description": f"The original headers, and these. A topic of letters ends with {DEAD_LETTER_SUFFIX}.",
        "properties": {name: {**TEXT, "description": meaning} for name, meaning in ORIGIN.items()},
    }
