"""The table of variables has each field of the settings once, with a parser of its type, and hides each secret."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.environment import Variable, read_settings
from connectors.errors import SettingsError
from connectors.settings import Settings
from pipelines.platform_settings import PlatformSettings
from pipelines.variables import FOREIGN_VARIABLES, VARIABLES
from tests.unit.docs.pages import ROOT, SOURCES

FIELDS = {field.name: field for field in dataclasses.fields(PlatformSettings)}
OF_CLIENTS = [field.name for field in dataclasses.fields(Settings)]
TYPES = typing.get_type_hints(PlatformSettings)
SECRET = "kd83hf02-secret-of-a-test"


def settings_from(env: dict[str, str], *checks: Callable[[PlatformSettings], None]) -> PlatformSettings:
    """Settings with no checks but these."""
    return read_settings(
        env, defaults=PlatformSettings(), variables=VARIABLES, foreign=FOREIGN_VARIABLES, checks=checks,
        production_checks=(),
    )  # fmt: skip


def text_for(variable: Variable, directory: Path) -> str:
    """A good text for the variable: its example, or where that is only a description, one like it."""
    if variable.field.endswith("_file"):
        file = directory / variable.field
        file.write_text("content")
        return str(file)
    if variable.secret:
        return variable.example.removesuffix("…") + SECRET if variable.example.endswith("…") else SECRET
    return variable.example


def test_the_table_has_each_field_once_and_in_the_order_of_the_settings() -> None:
    named = [variable.field for variable in VARIABLES]
    assert [name for name in named if name in OF_CLIENTS] == OF_CLIENTS
    assert OF_CLIENTS + [name for name in named if name not in OF_CLIENTS] == list(FIELDS)


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_a_variable_sets_its_field_and_no_other_to_a_value_of_the_fields_type(
    variable: Variable, tmp_path: Path
) -> None:
    text = text_for(variable, tmp_path)
    value = variable.parse(text)
    kind = TYPES[variable.field]
    for inner in typing.get_args(kind) or (kind,):
        if typing.get_origin(inner) is None and inner is not type(None) and typing.get_origin(kind) is not frozenset:
            assert type(value) is inner or (inner is Path and isinstance(value, Path)), (type(value), kind)
    if typing.get_origin(kind) is frozenset:
        assert isinstance(value, frozenset)
        assert {type(one) for one in value} == set(typing.get_args(kind))


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_a_field_that_a_file_may_give_is_kept_out_of_the_repr_and_no_other_field_is(variable: Variable) -> None:
    assert FIELDS[variable.field].repr is not variable.file
    assert not variable.secret or variable.file


@pytest.mark.parametrize("variable", [one for one in VARIABLES if one.secret], ids=lambda variable: variable.name)
def test_every_secret_is_redacted_from_texts(variable: Variable, tmp_path: Path) -> None:
    text = text_for(variable, tmp_path)
    settings = settings_from({variable.name: text})
    assert settings.secrets == {text}
    assert settings.redact(f"before {text} after") == "before … after"


@pytest.mark.parametrize("field", ["postgres_url", "redis_url", "schema_registry_url", "smtp_url"])
def test_the_password_of_every_url_is_redacted_from_texts(field: str) -> None:
    scheme = {"postgres_url": "postgresql", "redis_url": "redis", "smtp_url": "smtp"}.get(field, "http")
    settings = settings_from({f"CIRCLE_{field.upper()}": f"{scheme}://ada:p%40ss-word@h/1"})
    assert settings.secrets == {"p%40ss-word", "p@ss-word"}


def test_a_check_of_a_room_is_made_in_every_environment() -> None:
    def refuse(settings: Settings) -> None:
        raise SettingsError("CIRCLE_PARTITIONS", "is odd", got=str(settings.partitions))

    with pytest.raises(SettingsError, match="CIRCLE_PARTITIONS: is odd; got '3'"):
        settings_from({"CIRCLE_PARTITIONS": "3"}, refuse)


def test_a_variable_of_the_supervisor_is_no_setting() -> None:
    assert FOREIGN_VARIABLES.keys() & {variable.name for variable in VARIABLES} == set()


def test_no_process_reads_its_settings_without_the_checks_of_the_rooms() -> None:
    callers = {
        str(path.relative_to(ROOT))
        for top in SOURCES
        for path in (ROOT / top).rglob("*.py")
        if "read_settings" in path.read_text(encoding="utf-8")
    }
    assert callers == {"connectors/environment.py", "pipelines/configuration.py"}
