"""Write the `.avsc` files, the manifest of schema ids and the AsyncAPI document from the record types.

It also writes into the source of each compiled twin the hash that `schemas.twins` compares.

`python -m schemas.generate [--check]`.

The files are the contract for other languages; the record types are the same contract in Python. An id is given only
once: a changed record gets a new id. Its former schemas stay in the manifest, so that old records keep their writer's
schema.
"""

from __future__ import annotations

import json
import sys
import types
import typing
from pathlib import Path

import msgspec

from schemas import asyncapi, twins
from schemas.commands import COMMANDS
from schemas.facts import FACTS, Envelope
from schemas.field_types import is_int32, plain
from schemas.notifications import NOTIFICATIONS

AVRO_DIR = Path(__file__).parent / "avro"
MANIFEST = AVRO_DIR / "manifest.json"
ROOT = Path(__file__).parents[1]
TWINS = [path for folder in ("schemas", "pipelines", "api") for path in sorted((ROOT / folder).rglob("native_*.pyx"))]
FAMILIES: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "commands": COMMANDS,
    "facts": FACTS,
    "notifications": NOTIFICATIONS,
}


def main(argv: list[str]) -> int:
    """Write every file, or with --check name the files that differ. Returns 1 if one differs."""
    wanted = render()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" in argv:
        for path in stale:
            base = AVRO_DIR.parent if path.is_relative_to(AVRO_DIR.parent) else ROOT
            sys.stdout.write(f"out of date: {path.relative_to(base)}; run python -m schemas.generate\n")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path])
    sys.stdout.write(f"{len(stale)} of {len(wanted)} files written\n")
    return 0


def render() -> dict[Path, str]:
    """The files as they should be, by path."""
    entries = json.loads(MANIFEST.read_text())["schemas"] if MANIFEST.exists() else []
    files: dict[Path, str] = {}
    for family, records in FAMILIES.items():
        for record in records:
            schema = avro_schema(family, record)
            files[AVRO_DIR / family / f"{record.__name__}.avsc"] = json.dumps(schema, indent=2) + "\n"
            latest = [
                entry
                for entry in entries
                if entry["schema"]["name"] == schema["name"] and entry["schema"]["namespace"] == schema["namespace"]
            ]
            if not latest or latest[-1]["schema"] != schema:
                entries.append({"id": 1 + max((e["id"] for e in entries), default=0), "schema": schema})
    newest = {family: [avro_schema(family, record) for record in records] for family, records in FAMILIES.items()}
    files[asyncapi.FILE] = asyncapi.render(newest)
    lines = ",\n".join("  " + json.dumps(entry) for entry in entries)
    files |= {path: twins.with_its_hash(path) for path in TWINS}
    files[MANIFEST] = '{"schemas": [\n' + lines + "\n]}\n"
    return files


def avro_schema(family: str, record: type[msgspec.Struct]) -> dict[str, typing.Any]:
    """The flat Avro record of a record type; facts begin with their envelope."""
    structs: list[type[msgspec.Struct]] = [Envelope, record] if family == "facts" else [record]
    fields = [
        avro_field(name, hint, struct)
        for struct in structs
        for name, hint in typing.get_type_hints(struct, include_extras=True).items()
        if name in struct.__struct_fields__
    ]
    return {
        "type": "record",
        "name": record.__name__,
        "namespace": f"circle.{family}",
        "doc": " ".join((record.__doc__ or "").split()),
        "fields": fields,
    }


def avro_field(name: str, hint: typing.Any, struct: type[msgspec.Struct]) -> dict[str, typing.Any]:
    """One field. Optional fields default to null, so that they may be added and dropped."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        inner = next(arm for arm in typing.get_args(hint) if arm is not type(None))
        return {"name": name, "type": ["null", avro_type(name, inner)], "default": None}
    return {"name": name, "type": avro_type(name, hint)}


def avro_type(name: str, hint: typing.Any) -> typing.Any:
    """string, int, long or an array of strings: the contract uses only these."""
    if is_int32(hint):
        return "int"
    kind = plain(hint)
    if kind is str:
        return "string"
    if kind is int:
        return "long"
    if typing.get_origin(kind) is list and [plain(item) for item in typing.get_args(kind)] == [str]:
        return {"type": "array", "items": "string"}
    raise TypeError(f"field {name!r} has type {hint!r}, which the contract does not use")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
