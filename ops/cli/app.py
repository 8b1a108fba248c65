"""The commands of `circle`, as the library of the command line knows them."""

import importlib
import pkgutil
from functools import cache
from typing import Annotated

import typer
from typer._click import Command
from typer.core import TyperGroup

import ops.cli


@cache
def circle(only: str | None = None) -> Command:
    """The command, with the groups that all modules of `ops.cli` register, or that one module registers.

    It is made once in a process, since that takes some 30 ms.
    """
    app = typer.Typer(
        name="circle",
        cls=TyperGroup,
        help="General Circle: ticket drops on a streaming pipeline.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    app.callback()(anywhere)
    names = sorted(module.name for module in pkgutil.iter_modules(ops.cli.__path__)) if only is None else [only]
    for name in names:
        register = getattr(importlib.import_module(f"ops.cli.{name}"), "register", None)
        if register is not None:
            register(app)
    return typer.main.get_command(app)


def anywhere(
    data_dir: Annotated[
        str | None, typer.Option("--data-dir", help="Use the platform that runs with this data directory.")
    ] = None,
    stack: Annotated[
        str | None, typer.Option("--stack", help="Use the platform of this name: the name is the port of its API.")
    ] = None,
) -> None:
    """General Circle: ticket drops on a streaming pipeline.

    When CIRCLE_* names no services, an operator's command uses the platform that runs on this machine. When several
    run, name one with --stack or --data-dir, before or after the command.
    """
    # `run` has taken both out of the arguments already. They are here for --help.
    assert data_dir is None
    assert stack is None
