"""`circle rights …`: what each process may do on PostgreSQL and Redis. Kafka has `circle topics acls`."""

import asyncio
from typing import Annotated

import typer

from ops.operate import database_rights, redis_rights
from ops.operate.acls import Process
from ops.output import AsJson, DryRun, emit_json
from ops.run.discovery import operator_settings

rights = typer.Typer(no_args_is_help=True, help="What each process may do on PostgreSQL and Redis.")

Only = Annotated[Process | None, typer.Option("--process", help="Only the rights of this process.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(rights, name="rights")


@rights.command("postgres")
def postgres(
    process: Only = None,
    role: Annotated[str, typer.Option(help="The role's name; {process} is replaced.")] = database_rights.ROLE,
    apply: Annotated[
        bool, typer.Option("--apply", help="Give the rights, make missing roles, and take other rights away.")
    ] = False,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Show the rights of each process's role, as SQL. Asks no server without --apply.

    Apply them again after each `circle migrate`.
    """
    grants = database_rights.chosen(process)
    made: list[str] = []
    if apply and not dry_run:
        made = asyncio.run(database_rights.apply(operator_settings().postgres_url, grants, role))
    if json:
        emit_json([database_rights.as_row(one, role) for one in grants])
    elif apply:
        for name in made:
            print(f"role {name} was made; it has no password yet: ALTER ROLE {name} PASSWORD '…'")
        print(f"{len(grants)} rights {'would be' if dry_run else 'are'} given")
    else:
        print("\n".join(["BEGIN;", *database_rights.script(grants, role), "COMMIT;"]))
    return 0


@rights.command("redis")
def redis(
    process: Only = None,
    user: Annotated[str, typer.Option(help="The user's name; {process} is replaced.")] = redis_rights.USER,
    json: AsJson = False,
) -> int:
    """Show the rights of each process's user, as `redis-cli` commands. Asks no server, and changes no password."""
    chosen = [one for one in redis_rights.PROCESSES if process in (None, one)]
    if json:
        emit_json([redis_rights.as_row(one, user) for one in chosen])
    else:
        for one in chosen:
            print("ACL SETUSER " + " ".join(redis_rights.rules(one, user)))
    return 0
