"""Reads the settings from the `CIRCLE_*` variables, once.

Every error names the variable, its value without secrets, and an example. In production a missing or default secret
stops the start. An unknown `CIRCLE_` variable does so too: a misspelt name must not silently leave the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from connectors.errors import SettingsError
from connectors.open_services import refuse_insecure
from connectors.settings import Settings
from connectors.settings_checks import check_kafka, check_production
from connectors.urls import with_authority, without_password
from connectors.variables import FOREIGN_VARIABLES, VARIABLES, Variable

SECRET_FILE_BYTES_MAX = 65_536


def read_settings(env: Mapping[str, str] | None = None, *, checks: Sequence[Callable[[Settings], None]]) -> Settings:
    """Read and check every variable of `env` (default: the process's). Raises `SettingsError`.

    `checks` are those of the callers' rooms. `pipelines.configuration.settings_from_env` calls this with all of them.
    """
    source = os.environ if env is None else env
    secret_files: dict[str, Path] = {}
    given: dict[str, Any] = {}  # a test checks each parser against the type of its field
    for variable in VARIABLES:
        text = _text(variable, source, secret_files)
        if text:
            given[variable.field] = _value(variable, text)
    settings = replace(Settings(), **given)
    for check in (check_kafka, *checks):
        check(settings)
    if settings.redis_ca_file is not None:
        settings = replace(settings, redis_url=with_authority(settings.redis_url, settings.redis_ca_file))
    if settings.production:
        _refuse_unknown(source)
        _refuse_missing(given)
        check_production(settings, given)
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


def _refuse_unknown(env: Mapping[str, str]) -> None:
    names = {variable.name for variable in VARIABLES}
    names |= {f"{variable.name}_FILE" for variable in VARIABLES if variable.file}
    for name in sorted(env):
        if name.startswith("CIRCLE_") and name not in names and name not in FOREIGN_VARIABLES:
            raise SettingsError(name, f"is not a setting; the settings are {', '.join(sorted(names))}")


def _refuse_missing(given: Mapping[str, object]) -> None:
    for variable in VARIABLES:
        if variable.required is not None and variable.field not in given:
            raise SettingsError(variable.name, "is required in production and not set", example=variable.required)
