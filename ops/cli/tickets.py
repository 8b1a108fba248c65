"""`circle tickets verify`: shows what a ticket's code says, and whether we signed it. Needs only the public keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import httpx
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from api.auth.keys import read_jwks
from api.ticket_codes import CodeReader, ForgedCode
from connectors.errors import ServiceUnreachable, SettingsError
from ops.output import AsJson, emit_json

FETCH_TIMEOUT_S = 10.0
KEYS_EXAMPLE = "https://tickets.example.org/.well-known/jwks.json"

tickets = typer.Typer(no_args_is_help=True, help="Tickets, as a door sees them.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(tickets, name="tickets")


@tickets.callback()
def group() -> None:
    """Tickets, as a door sees them."""


@tickets.command()
def verify(
    code: Annotated[str, typer.Argument(help="The scanned code.")],
    jwks: Annotated[str, typer.Option(help="The public keys: a file, or the URL of /.well-known/jwks.json.")],
    json: AsJson = False,
) -> int:
    """Check a code's signature, with the public keys only. Exit 1 when we did not sign it.

    The code does not say whether the ticket is still valid or already used. Only the platform knows that.
    """
    reader = CodeReader(_keys(jwks))
    try:
        ticket, why = reader.read(code.strip()), ""
    except ForgedCode as error:
        ticket, why = None, f"forged: {error}"
    except ValueError:
        ticket, why = None, "malformed: this is no ticket code"
    if json:
        emit_json({"signed": ticket is not None, "why": why or None, "ticket": ticket})
    elif ticket is None:
        print(why)
    else:
        seat = f"seat {ticket.seat}" if ticket.seat else "general admission"
        print(f"signed: ticket {ticket.ticket_id}, event {ticket.event_id}, {seat}, version {ticket.version}")
    return 0 if ticket is not None else 1


def _keys(source: str) -> dict[str, Ed25519PublicKey]:
    """The keys of a file or an address. Raises SettingsError, ServiceUnreachable."""
    try:
        if not source.startswith(("http://", "https://")):
            return read_jwks(Path(source).read_text())
        return read_jwks(httpx.get(source, timeout=FETCH_TIMEOUT_S).raise_for_status().text)
    except httpx.HTTPError as error:
        raise ServiceUnreachable("the keys", source, str(error) or type(error).__name__) from None
    except (OSError, ValueError) as error:
        raise SettingsError("--jwks", str(error), got=source, example=KEYS_EXAMPLE) from None
