"""The configuration of a process: the settings of its environment, with the checks of the dataflows."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.environment import read_settings
from connectors.settings import Settings
from pipelines.payments.settings_check import check_payments


def settings_from_env(env: Mapping[str, str] | None = None) -> Settings:
    """Read and check every `CIRCLE_*` variable of `env` (default: the process's). Raises `SettingsError`."""
    return read_settings(env, checks=(check_payments,))
