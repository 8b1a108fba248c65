"""The page of commands, from the command line itself."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin

from ops.cli.app import circle
from ops.reference.markdown import WRITTEN, table, text

INTRODUCTION = """\
`circle` is in `.venv/bin`. With `--json` a command reports as JSON. With `--dry-run` it writes nothing.

With `make run` in one terminal, `circle verify`, `circle dlq list` and the others work in another terminal without
settings. When `CIRCLE_*` names no services, a command uses this user's platform on this machine. When several platforms
run, the command lists them and asks for `--data-dir DIR` or `--stack NAME`, before or after the command. The name is
the API's port. Addresses in `CIRCLE_*` always win. `circle doctor` says which platform it found.

Exit codes: 0 done, 1 a check failed or a known error, 2 usage or a wrong setting, 3 a service cannot be reached, 130
interrupted. [Operations](../operations.md) has them with what to do.
"""
COMMON = frozenset({"--json", "--dry-run"})
"""Options that the introduction explains for all commands."""
WORDS = {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH", dt.datetime: "TIME"}


def page() -> str:
    """Every command: its options, their defaults, what it does."""
    commands = dict(sorted(leaves().items()))
    overview = [
        (f"[`circle {name}`](#circle-{name.replace(' ', '-')})", text(_first_line(command)))
        for name, command in commands.items()
    ]
    parts = ["# Commands\n", f"{WRITTEN}\n", INTRODUCTION, table(("command", "what it does"), overview)]
    for name, command in commands.items():
        parts += [f"## circle {name}\n", f"{text(command.help or '')}\n", f"`{_usage(name, command)}`\n"]
        rows = [_row(parameter) for parameter in command.params if not COMMON & set(parameter.opts)]
        if rows:
            parts.append(table(("option", "default", "meaning"), rows))
    return "\n".join(parts)


def leaves() -> dict[str, Any]:
    """Every command that does something, by its words."""
    found: dict[str, Any] = {}

    def walk(words: tuple[str, ...], command: Any) -> None:
        inner = getattr(command, "commands", None)
        if inner is None:
            found[" ".join(words)] = command
        else:
            for name, one in inner.items():
                walk((*words, name), one)

    walk((), circle())
    return found


def _first_line(command: Any) -> str:
    return (command.help or "").partition("\n")[0]


def _usage(name: str, command: Any) -> str:
    """The command with its options; those that may be left out are in brackets."""
    words = [f"circle {name}"]
    for parameter in command.params:
        word = _option(parameter)
        words.append(word if parameter.required else f"[{word}]")
    return " ".join(words)


def _option(parameter: Any) -> str:
    """An option or an argument, as the usage shows it."""
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper().removesuffix("_ID") + ("…" if parameter.nargs == -1 else "")
    if parameter.is_flag:
        return str(parameter.secondary_opts[0] if parameter.default else parameter.opts[0])
    return f"{parameter.opts[0]} {_word(parameter)}" + ("…" if parameter.multiple else "")


def _word(parameter: Any) -> str:
    """The word for a value: the default, the choices, or the type."""
    kind = parameter.type_descriptor.annotation
    kind = get_args(kind)[0] if get_origin(kind) is list else kind
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return "|".join(member.value for member in kind)
    return WORDS[kind]


def _row(parameter: Any) -> tuple[str, str, str]:
    shown, meaning = f"`{_option(parameter)}`", text(parameter.help or "")
    if parameter.param_type_name == "argument":
        word = _word(parameter)
        meaning += f" One of {word}." if "|" in word else ""
    elif parameter.is_flag:
        shown = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    return shown, _default(parameter), meaning


def _default(parameter: Any) -> str:
    default = parameter.default
    if parameter.required:
        return "required"
    if default is None or default is False:
        return "none"
    if default is True:
        return f"`{parameter.opts[0]}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
