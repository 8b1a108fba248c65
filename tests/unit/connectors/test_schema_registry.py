"""Schema ids from a registry: requested once, registered when missing, and every refusal is one line."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator

import fastavro
import msgspec
import pytest

from connectors import schema_registry
from connectors.errors import AccessRefused, CircleError, ServiceUnreachable
from connectors.schema_registry import SchemaRefused, codec_of
from connectors.settings import Settings
from schemas.codec import Codec, own_schemas
from schemas.commands import Tick
from tests.harness.registries import FIRST_ID, Answer, Books, small_registry

TICK = "circle.commands.Tick"
RECORD = Tick("event", "", "id")


@pytest.fixture
def registry() -> Iterator[tuple[Settings, Books]]:
    with small_registry() as (url, books):
        yield Settings(schema_registry_url=url), books


def test_without_a_registry_the_manifest_s_ids_hold() -> None:
    assert codec_of(Settings()).encode(RECORD) == Codec().encode(RECORD)


def test_every_schema_is_registered_under_full_transitive_compatibility(registry: tuple[Settings, Books]) -> None:
    settings, books = registry
    codec = codec_of(settings)
    assert books.config == dict.fromkeys(own_schemas(), "FULL_TRANSITIVE")
    assert {name: len(numbers) for name, numbers in books.versions.items()} == {
        name: len(schemas) for name, schemas in own_schemas().items()
    }
    value = codec.encode(RECORD)
    assert int.from_bytes(value[1:5], "big") == books.versions[TICK][-1] >= FIRST_ID
    assert codec.decode(value) == RECORD


def test_a_process_asks_once_and_a_second_one_registers_nothing(registry: tuple[Settings, Books]) -> None:
    settings, books = registry
    first = codec_of(settings).encode(RECORD)
    books.calls.clear()
    assert codec_of(settings).encode(RECORD) == first
    assert books.calls == []
    schema_registry.ask.cache_clear()  # as in another process
    assert codec_of(settings).encode(RECORD) == first
    assert not [
        call for call in books.calls if call.startswith("PUT") or (call.endswith("/versions") and "POST" in call)
    ]


def test_processes_that_register_at_once_do_not_fail(registry: tuple[Settings, Books]) -> None:
    settings, books = registry
    books.busy = {f"PUT /config/{TICK}", f"POST /subjects/{TICK}/versions"}
    assert codec_of(settings).decode(codec_of(settings).encode(RECORD)) == RECORD
    assert books.busy == set()
    assert books.config[TICK] == "FULL_TRANSITIVE"


def test_versions_of_newer_and_older_programs_are_read(registry: tuple[Settings, Books]) -> None:
    settings, books = registry
    schema = own_schemas()[TICK][-1]
    newer = schema | {"fields": [*schema["fields"], {"name": "note", "type": ["null", "string"], "default": None}]}
    number = books.register(TICK, json.dumps(newer))
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(newer), msgspec.structs.asdict(RECORD) | {"note": "x"})
    assert codec_of(settings).decode(b"\0" + number.to_bytes(4, "big") + body.getvalue()) == RECORD


@pytest.mark.parametrize(
    ("call", "answer", "kind", "told"),
    [
        (f"POST /subjects/{TICK}", (500, {"error_code": 50001, "message": "store"}), ServiceUnreachable, "with 500"),
        (f"POST /subjects/{TICK}", (401, {"error_code": 401, "message": "who?"}), AccessRefused, "with 401"),
        (f"POST /subjects/{TICK}", (422, {"error_code": 42201, "message": "odd"}), SchemaRefused, "with 422"),
        (f"POST /subjects/{TICK}/versions", (409, {"error_code": 409, "message": "no"}), SchemaRefused, "with 409"),
        (f"POST /subjects/{TICK}", (200, {"id": "7"}), SchemaRefused, "gave no id of 32 bits"),
        (f"POST /subjects/{TICK}", (200, {"id": -1}), SchemaRefused, "gave no id of 32 bits"),
        (f"POST /subjects/{TICK}", (200, []), SchemaRefused, "gave no id of 32 bits"),
        (f"POST /subjects/{TICK}", b"<html>a proxy</html>", SchemaRefused, "with 200: <html>"),
        (f"PUT /config/{TICK}", (404, {"error_code": 40401, "message": "-"}), SchemaRefused, "with 404"),
        (f"GET /subjects/{TICK}/versions", (200, {}), SchemaRefused, "gave no list of 1 to 1000 versions"),
    ],
)
def test_what_a_registry_answers_wrongly_is_one_error(
    registry: tuple[Settings, Books], call: str, answer: Answer | bytes, kind: type[CircleError], told: str
) -> None:
    settings, books = registry
    books.answers[call] = answer
    with pytest.raises(kind, match=told) as caught:
        codec_of(settings)
    assert caught.value.exit_code == (3 if kind in (ServiceUnreachable, AccessRefused) else 1)


def test_a_registry_that_is_away_is_told_without_its_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and there is no server
        url = f"http://circle:s3cret@127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ServiceUnreachable, match="CIRCLE_SCHEMA_REGISTRY_URL") as caught:
            codec_of(Settings(schema_registry_url=url))
    assert "s3cret" not in str(caught.value)


def test_a_registry_that_says_nothing_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_registry, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ServiceUnreachable, match="ReadTimeout"):
            codec_of(Settings(schema_registry_url=url))
