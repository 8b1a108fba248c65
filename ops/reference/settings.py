"""The page of settings, from the table of variables and the defaults of `PlatformSettings`."""

from __future__ import annotations

from connectors.environment import Variable
from ops.reference.markdown import WRITTEN, joined, table
from pipelines.platform_settings import PlatformSettings
from pipelines.variables import FOREIGN_VARIABLES, VARIABLES

HEAD = ("variable", "default", "meaning", "in production")
INTRODUCTION = """\
A process reads its settings once, from the environment. An error names the variable, what it got and an example. In
production, a missing or default secret and a `CIRCLE_` variable that is no setting stop the start. `circle up` sets the
addresses itself.
"""
SECRETS = """\
A file may hold a secret instead: its path stands in the variable with `_FILE` after the name. This works for {files}.
No secret is written to a log or an error.
"""
OPEN_SERVICES = """\
Production refuses services beyond loopback that are in clear or accept any client, and keys that others can read, until
`CIRCLE_ALLOW_INSECURE` names them; [operations](../operations.md#securing-the-services) has each rule.
"""


def page() -> str:
    """Every variable: its default, its meaning, and what production requires."""
    defaults = PlatformSettings()
    rows = [
        (f"`{variable.name}`", _default(variable, defaults), variable.meaning, _production(variable))
        for variable in VARIABLES
    ]
    parts = [
        "# Settings\n",
        f"{WRITTEN}\n",
        INTRODUCTION,
        table(HEAD, rows),
        SECRETS.format(files=joined(variable.name for variable in VARIABLES if variable.file)),
        OPEN_SERVICES,
        "These variables belong to one command each:\n",
        table(("variable", "meaning"), [(f"`{name}`", meaning) for name, meaning in FOREIGN_VARIABLES.items()]),
    ]
    return "\n".join(parts)


def _default(variable: Variable, defaults: PlatformSettings) -> str:
    value = getattr(defaults, variable.field)
    if variable.default is not None:
        return variable.default
    if value is None or value == frozenset():
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _production(variable: Variable) -> str:
    return "; ".join(["required"] * (variable.required is not None) + [variable.production] * bool(variable.production))
