"""`circle keys create`: the key that the API signs tokens with."""

from pathlib import Path
from typing import Annotated

import typer

from ops.output import AsJson, DryRun, emit_json
from ops.run.platform import development_key

KEY_FILE = Path("/keys/jwt.pem")

keys = typer.Typer(no_args_is_help=True, help="The keys that sign tokens.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(keys, name="keys")


@keys.callback()
def group() -> None:
    """The keys that sign tokens."""


@keys.command()
def create(
    file: Annotated[Path, typer.Argument(help="The file to write. A file that exists is never replaced.")] = KEY_FILE,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Make an Ed25519 key in PEM for CIRCLE_JWT_KEY_FILE. Only its owner can read the file."""
    existed = file.exists()
    if not existed and not dry_run:
        development_key(file)
    if json:
        emit_json({"file": str(file), "created": not existed, "dry_run": dry_run})
    else:
        print(f"{file} {'exists' if existed else 'would be created' if dry_run else 'created'}")
    return 0
