"""The configuration of a process: the settings of its environment, by one table of variables and all checks."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.environment import read_settings
from pipelines.payments.settings_check import check_payments
from pipelines.platform_settings import PlatformSettings
from pipelines.settings_checks import check_kafka, check_production
from pipelines.variables import FOREIGN_VARIABLES, VARIABLES


def settings_from_env(env: Mapping[str, str] | None = None) -> PlatformSettings:
    """Read and check every `CIRCLE_*` variable of `env` (default: the process's). Raises `SettingsError`."""
    return read_settings(
        env,
        defaults=PlatformSettings(),
        variables=VARIABLES,
        foreign=FOREIGN_VARIABLES,
        checks=(check_kafka, check_payments),
        production_checks=(check_production,),
    )
