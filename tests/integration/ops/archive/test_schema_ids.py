"""A log with a registry's ids: an import keeps them, or refuses. With other ids it is the same log in other bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.log_reader import LogReader
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from ops.run.services.stack import Stack
from pipelines.configuration import settings_from_env
from schemas.codec import HEADER_BYTES, Codec, header_of, own_schemas
from schemas.facts import RecordedFact
from schemas.topics import COMMANDS, FACTS
from tests.harness.command_line import Circle
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.registries import Books, small_registry
from tests.integration.ops.archive.test_export import digests, point_to

PARTITION = 3


@pytest.fixture
def registry() -> Iterator[tuple[str, Books]]:
    with small_registry() as both:
        yield both


@pytest.fixture
def source(circle: Circle, settings: Settings, registry: tuple[str, Books]) -> Settings:
    """A cluster whose log has the registry's ids; an earlier build wrote some of its facts."""
    named = replace(settings, schema_registry_url=registry[0])
    codec, log = codec_of(named), BothLogs(partition=PARTITION, seed=41, in_turn=True)
    log.take(250)
    write_both(named, [log], fact_bytes=lambda one: of_an_earlier_build(codec, one), codec=codec)
    return named


@pytest.fixture
def target(circle: Circle) -> Iterator[Settings]:
    """An empty cluster."""
    with Stack("embedded") as stack:
        yield settings_from_env(stack.fresh())


def of_an_earlier_build(codec: Codec, one: RecordedFact) -> bytes:
    """The fact with a former schema, where today's rules had one and it can say all of it."""
    for schema in own_schemas()[f"circle.facts.{type(one.fact).__name__}"][:-1]:
        for schema_id in codec.ids_of(schema):
            if (value := codec.encode_fact_as(header_of(schema_id), one.envelope, one.fact)) is not None:
                return value
    return codec.encode_fact(one.envelope, one.fact)


def values(settings: Settings, topic: str) -> list[bytes]:
    with LogReader(settings, topic, PARTITION) as reader:
        return [message.value() or b"" for message in reader.messages()]


def written_with(settings: Settings, topic: str) -> list[Any]:
    """The schema of each record."""
    codec = codec_of(settings)
    return [found[1] for value in values(settings, topic) if (found := codec.schema_of(value)) is not None]


def of_a_former_schema(settings: Settings) -> int:
    newest = [schemas[-1] for schemas in own_schemas().values()]
    return sum(schema not in newest for schema in written_with(settings, FACTS))


def test_with_the_same_registry_every_byte_comes_back(
    circle: Circle, source: Settings, target: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_to(source, monkeypatch)
    assert circle("replay", "export", str(tmp_path / "x"))[0] == 0
    assert of_a_former_schema(source) > 0
    restored = replace(target, schema_registry_url=source.schema_registry_url)
    point_to(restored, monkeypatch)
    assert circle("replay", "import", str(tmp_path / "x"))[0] == 0
    for topic in (COMMANDS, FACTS):
        assert values(restored, topic) == values(source, topic)
    assert digests(restored) == digests(source)


@pytest.mark.parametrize("registered", [True, False], ids=["another registry", "no registry"])
def test_other_ids_are_refused_until_they_are_accepted_and_then_each_record_has_its_own_schemas(
    registered: bool, circle: Circle, source: Settings, target: Settings, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    point_to(source, monkeypatch)
    assert circle("replay", "export", str(tmp_path / "x"))[0] == 0
    with small_registry() as (url, books):
        books.register("foreign", '"string"')  # so each of our ids there is another record's id here
        other = replace(target, schema_registry_url=url if registered else None)
        point_to(other, monkeypatch)
        assert circle("replay", "import", str(tmp_path / "x"))[0] == 1
        assert values(other, COMMANDS) == []
        assert circle("replay", "import", str(tmp_path / "x"), "--other-ids")[0] == 0
        for topic in (COMMANDS, FACTS):
            assert written_with(other, topic) == written_with(source, topic)
            there, here = values(source, topic), values(other, topic)
            assert [one[HEADER_BYTES:] for one in here] == [one[HEADER_BYTES:] for one in there]
            assert all(one[:HEADER_BYTES] != before[:HEADER_BYTES] for one, before in zip(here, there, strict=True))
        assert of_a_former_schema(other) == of_a_former_schema(source)
        assert digests(other)[PARTITION][0] == digests(source)[PARTITION][0]


def test_users_under_other_names_come_with_any_ids(
    circle: Circle, source: Settings, target: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_to(source, monkeypatch)
    assert circle("replay", "export", str(tmp_path / "x"), "--pseudonymise")[0] == 0
    point_to(target, monkeypatch)
    assert circle("replay", "import", str(tmp_path / "x"))[0] == 0
    assert digests(target)[PARTITION][0] == digests(source)[PARTITION][0]


def test_a_schema_that_only_a_newer_build_has_is_named(
    circle: Circle, source: Settings, target: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    point_to(source, monkeypatch)
    assert circle("replay", "export", str(tmp_path / "x"))[0] == 0
    manifest = tmp_path / "x" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"name": "TicketsHeld"', '"name": "TicketsHeldOtherwise"'))
    assert "TicketsHeldOtherwise" in manifest.read_text()
    point_to(target, monkeypatch)
    assert circle("replay", "import", str(tmp_path / "x"), "--other-ids")[0] == 1
