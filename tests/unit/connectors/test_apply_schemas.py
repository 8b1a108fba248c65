"""Filling a schema registry: a dry run registers nothing, a first run everything, a second one nothing more."""

from __future__ import annotations

from connectors.schema_registry import apply_schemas
from connectors.settings import Settings
from schemas.codec import own_schemas
from tests.harness.registries import small_registry


def test_without_a_registry_there_is_nothing_to_fill() -> None:
    assert apply_schemas(Settings()) == []


def test_a_registry_is_filled_once_and_a_dry_run_only_looks() -> None:
    with small_registry() as (url, books):
        settings = Settings(schema_registry_url=url)
        planned = apply_schemas(settings, dry_run=True)
        assert {one.subject: one.missing for one in planned} == {name: len(of) for name, of in own_schemas().items()}
        assert {one.newest_id for one in planned} == {None}
        assert books.versions == {}
        first = apply_schemas(settings)
        assert set(books.versions) == set(own_schemas())
        assert [one.missing for one in first] == [one.missing for one in planned]
        calls = len(books.calls)
        second = apply_schemas(settings)
        assert {one.missing for one in second} == {0}
        assert [one.newest_id for one in second] == [one.newest_id for one in first]
        assert not [call for call in books.calls[calls:] if call.endswith("/versions") or call.startswith("PUT")]
