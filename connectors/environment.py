"""Reads settings from a table of `CIRCLE_*` variables, once. `pipelines.configuration` has the table and the checks.

Every error names the variable, its value without secrets, and an example. In production a missing or default secret
stops the start. An unknown `CIRCLE_` variable does so too: a misspelt name must not silently leave the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from connectors.errors import SettingsError
from connectors.open_services import refuse_insecure
from connectors.settings import Settings
from connectors.urls import with_authority, without_password

SECRET_FILE_BYTES_MAX = 65_536


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """A `CIRCLE_*` variable. It sets the field of the settings with its name in small letters; the default is there."""

    field: str
    parse: Callable[[str], object]
    example: str
    meaning: str
    secret: bool = False
    """An error does not show the value."""
    file: bool = False
    """A second variable with `_FILE` after the name may name a file with the value."""
    required: str | None = None
    """Production requires the variable; this is the example in its error."""
    production: str = ""
    """Any other rule of production, for the reference page."""
    default: str | None = None
    """The default in words, where it is no constant."""

    @property
    def name(self) -> str:
        return f"CIRCLE_{self.field.upper()}"


def read_settings(
    env: Mapping[str, str] | None = None,
    *,
    defaults: S,
    variables: Sequence[Variable],
    foreign: Collection[str],
    checks: Sequence[Callable[[S], None]],
    production_checks: Sequence[Callable[[S, Collection[str]], None]],
) -> S:
    """Read and check every variable of `env` (default: the process's). Raises `SettingsError`.

    `foreign` are the names of `CIRCLE_` variables that are no settings. `checks` are made always, `production_checks`
    in production, with the fields that a variable sets.
    """
    source = os.environ if env is None else env
    secret_files: dict[str, Path] = {}
    given: dict[str, Any] = {}  # a test checks each parser against the type of its field
    for variable in variables:
        text = _text(variable, source, secret_files)
        if text:
            given[variable.field] = _value(variable, text)
    settings = replace(defaults, **given)
    for check in checks:
        check(settings)
    if settings.redis_ca_file is not None:
        settings = replace(settings, redis_url=with_authority(settings.redis_url, settings.redis_ca_file))
    if settings.production:
        _refuse_unknown(source, variables, foreign)
        _refuse_missing(given, variables)
        for production_check in production_checks:
            production_check(settings, given)
        refuse_insecure(settings, secret_files)
    return settings


def _text(variable: Variable, env: Mapping[str, str], secret_files: dict[str, Path]) -> str:
    """The variable's text, "" where nothing gives one. Adds the file that gives it to `secret_files`."""
    raw = env.get(variable.name, "").strip()
    name = f"{variable.name}_FILE"
    path = env.get(name, "").strip()
    if not variable.file or not path:
        return raw
    example = f"/run/secrets/{variable.name.lower()}"
    if raw:
        raise SettingsError(name, f"names a file, and {variable.name} is set as well; unset one", got=path)
    try:
        with Path(path).open("rb") as file:
            text = file.read(SECRET_FILE_BYTES_MAX).decode().strip()
    except (OSError, ValueError) as error:
        raise SettingsError(name, f"cannot be read: {error}", got=path, example=example) from None
    if not text:
        raise SettingsError(name, "is an empty file", got=path, example=example)
    secret_files[name] = Path(path)
    return text


def _value(variable: Variable, text: str) -> object:
    try:
        return variable.parse(text)
    except ValueError as error:
        shown = "…" if variable.secret else without_password(text)
        raise SettingsError(variable.name, str(error), got=shown, example=variable.example) from None


def _refuse_unknown(env: Mapping[str, str], variables: Sequence[Variable], foreign: Collection[str]) -> None:
    names = {variable.name for variable in variables}
    names |= {f"{variable.name}_FILE" for variable in variables if variable.file}
    for name in sorted(env):
        if name.startswith("CIRCLE_") and name not in names and name not in foreign:
            raise SettingsError(name, f"is not a setting; the settings are {', '.join(sorted(names))}")


def _refuse_missing(given: Mapping[str, object], variables: Sequence[Variable]) -> None:
    for variable in variables:
        if variable.required is not None and variable.field not in given:
            raise SettingsError(variable.name, "is required in production and not set", example=variable.required)
