"""A schema registry behind TLS and a password: it works with the right authority and login; else an error names the
cause."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.errors import AccessRefused, ServiceUnreachable
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from pipelines.configuration import settings_from_env
from schemas.codec import Codec, own_schemas
from schemas.commands import Tick
from tests.harness.authority import Authority
from tests.harness.registries import Books, small_registry
from tests.harness.tls_proxy import TlsProxy

RECORD = Tick("event", "", "id")
LOGIN = "circle:p%40ss-0815"  # as a URL has it
SECRET = "p@ss-0815"  # a test's


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def registry(authority: Authority) -> Iterator[tuple[str, Books]]:
    """Its address, and its books."""
    with small_registry() as (url, books), TlsProxy(int(url.rpartition(":")[2]), authority.context()) as proxy:
        books.login = f"circle:{SECRET}"
        yield f"127.0.0.1:{proxy.port}", books


def settings(url: str, ca_file: Path | None) -> Settings:
    given = {"CIRCLE_SCHEMA_REGISTRY_URL": url}
    return settings_from_env(given | ({"CIRCLE_SCHEMA_REGISTRY_CA_FILE": str(ca_file)} if ca_file else {}))


def test_with_its_authority_and_a_login_every_schema_is_registered(
    registry: tuple[str, Books], authority: Authority
) -> None:
    address, books = registry
    value = codec_of(settings(f"https://{LOGIN}@{address}", authority.ca_file)).encode(RECORD)
    assert set(books.versions) == set(own_schemas())
    assert value != Codec().encode(RECORD), "with the registry's id"


@pytest.mark.parametrize("ours", [False, True], ids=["the system's authorities", "another authority"])
def test_a_registry_of_another_authority_is_refused_before_it_hears_the_password(
    registry: tuple[str, Books], authority: Authority, ours: bool
) -> None:
    address, books = registry
    with pytest.raises(AccessRefused, match=r"(?i)certificate.verify.failed.*CIRCLE_SCHEMA_REGISTRY_CA_FILE") as caught:
        codec_of(settings(f"https://{LOGIN}@{address}", authority.other_ca_file if ours else None))
    assert SECRET not in str(caught.value)
    assert LOGIN not in str(caught.value)
    assert books.calls == []


@pytest.mark.parametrize("login", ["", "circle:wrong-0815@"])
def test_a_registry_that_does_not_know_us_is_refused_by_name(
    registry: tuple[str, Books], authority: Authority, login: str
) -> None:
    address, books = registry
    with pytest.raises(AccessRefused, match="with 401; look at CIRCLE_SCHEMA_REGISTRY_URL") as caught:
        codec_of(settings(f"https://{login}{address}", authority.ca_file))
    assert "wrong-0815" not in str(caught.value)
    assert books.calls == []


def test_a_registry_with_tls_is_not_spoken_to_in_clear(registry: tuple[str, Books], authority: Authority) -> None:
    address, books = registry
    with pytest.raises(ServiceUnreachable, match="is CIRCLE_SCHEMA_REGISTRY_URL right"):
        codec_of(settings(f"http://{LOGIN}@{address}", authority.ca_file))
    assert books.calls == []
