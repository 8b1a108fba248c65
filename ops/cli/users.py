"""`circle users …`: changes of accounts that the API offers to no caller."""

import asyncio
from typing import Annotated

import msgspec
import typer

from api.auth.tokens import Role
from ops.operate.users import enrol, reset_factor
from ops.operate.users import promote as promote_user
from ops.operate.users import verify as verify_user
from ops.output import AsJson, DryRun, emit_json
from ops.run.discovery import operator_settings

users = typer.Typer(no_args_is_help=True, help="Accounts and their roles.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(users, name="users")


@users.callback()
def group() -> None:
    """Accounts and their roles."""


@users.command()
def promote(
    email: Annotated[str, typer.Argument(help="The account's mail address.")],
    role: Annotated[Role, typer.Option(help="The role that it gets.")],
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Give an account a higher role. Exit 1 when there is no such account, or when its role is higher already.

    The first admin is made this way. A role never goes down.
    """
    done = asyncio.run(promote_user(operator_settings(), email, role, dry_run=dry_run))
    if json:
        emit_json({"user_id": done.user_id, "before": done.before, "role": done.role, "dry_run": dry_run})
    else:
        print(f"{done.user_id} {'would be' if dry_run else 'is'} {done.role.value} (was {done.before.value})")
    return 0


@users.command()
def verify(
    email: Annotated[str, typer.Argument(help="The account's mail address.")],
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Mark an account's mail address as proven, as the mailed link does. Exit 1 when there is no such account."""
    done = asyncio.run(verify_user(operator_settings(), email, dry_run=dry_run))
    if json:
        emit_json({"user_id": done.user_id, "before": done.before, "verified": True, "dry_run": dry_run})
    else:
        became = "was verified already" if done.before else "would be verified" if dry_run else "is verified"
        print(f"{done.user_id} {became}")
    return 0


@users.command()
def enrol_factor(
    email: Annotated[str, typer.Argument(help="The account's mail address.")],
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Set up a second factor for an account, or replace the old one. Its sessions end. Shows the secret only once.

    An admin has no powers without a second factor.
    """
    done = asyncio.run(enrol(operator_settings(), email, dry_run=dry_run))
    if json:
        emit_json(msgspec.to_builtins(done) | {"dry_run": dry_run})
    elif dry_run:
        print(f"{done.user_id} would get a second factor")
    else:
        print(f"{done.user_id} has a second factor\nsecret          {done.secret}\nauthenticator   {done.otpauth_uri}")
        print("recovery codes  " + "\n                ".join(done.recovery_codes))
    return 0


@users.command("reset-factor")
def take_factor(
    email: Annotated[str, typer.Argument(help="The account's mail address.")],
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Remove an account's second factor, when its phone and recovery codes are lost. Its sessions end."""
    done = asyncio.run(reset_factor(operator_settings(), email, dry_run=dry_run))
    if json:
        emit_json({"user_id": done.user_id, "before": done.before, "dry_run": dry_run})
    else:
        became = "had no second factor" if not done.before else "would have none" if dry_run else "has none any more"
        print(f"{done.user_id} {became}")
    return 0
