"""The parts that all manifests share: names, labels, and values that are read from compose.yaml."""

from __future__ import annotations

import re
from typing import Any

SECONDS = {"s": 1, "m": 60}
Manifest = dict[str, Any]


def environment_of(compose: Manifest) -> dict[str, str]:
    """What compose.yaml sets for every process of ours."""
    return {name: default(str(value)) for name, value in compose["services"]["reservations"]["environment"].items()}


def port_of(address: str) -> int:
    """The port of a URL, or of `host:port`."""
    found = re.search(r":(\d+)(?:/|$)", address)
    if found is None:
        raise ValueError(f"compose.yaml names no port in {address!r}")
    return int(found.group(1))


def default(value: str) -> str:
    """The value that compose takes where its variable is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def meta(name: str) -> Manifest:
    """The metadata of a manifest with this name."""
    return {"name": name, "labels": {"app.kubernetes.io/part-of": "general-circle"}}


def labels(name: str) -> dict[str, str]:
    """The labels that select the pods of a part."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "general-circle"}


def seconds(text: str) -> int:
    """A duration of compose.yaml in seconds."""
    return int(text[:-1]) * SECONDS[text[-1]]


def option(command: list[str], name: str) -> int:
    """The number after an option of a command. Raises ValueError without the option."""
    return int(command[command.index(name) + 1])
