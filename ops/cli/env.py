"""`circle env`: how to reach the platform that runs here, for a shell or another program."""

import shlex

import typer

from ops.output import AsJson, emit_json
from ops.run import discovery as found


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(env)


def env(json: AsJson = False) -> int:
    """Print how a shell reaches the platform that runs here: eval "$(circle env)". The output has secrets."""
    stack = found.stack_of(found.chosen.get())
    variables = {**stack.env, found.URL: stack.url}
    if json:
        emit_json(variables)
        return 0
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0
