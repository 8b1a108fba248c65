"""`circle verify --receipt`: compares a buyer's receipt with the log. Reads one record."""

from __future__ import annotations

from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from api.auth.keys import KeyRing, read_jwks
from connectors.errors import CircleError
from connectors.log_reader import LogReader, chosen, key_of, offset_of, stamp_of
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from pipelines.history.receipts import BadReceipt, Receipt, read, record_digest
from pipelines.history.rules_by_version import command_of
from schemas.codec import Undecodable
from schemas.commands import ReserveInTurn
from schemas.ids import NO_EVENT, NO_RESERVATION, EventId, ReservationId, stamped
from schemas.times import rfc3339
from schemas.topics import COMMANDS


class BadKeys(CircleError):
    """Wrong usage: --keys is no JSON Web Key Set, or there are no keys."""

    exit_code = 2


class ReceiptResult(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the receipt is true, and the record at its position. `reservation_ids` are those of requests in turn."""

    holds: bool
    why: str
    partition: int = -1
    offset: int = -1
    command: str = ""
    reservation_id: ReservationId = NO_RESERVATION
    reservation_ids: list[ReservationId] = []
    event_id: EventId = NO_EVENT
    time: str = ""


def check(settings: Settings, text: str, keys_file: Path | None) -> ReceiptResult:
    """Compare `text` (a receipt, or @FILE) with the log. Raises BadKeys, NoSuchPartition, ServiceUnreachable."""
    keys = _keys(settings, keys_file)
    try:
        token = Path(text[1:]).read_text().strip() if text.startswith("@") else text.strip()
    except OSError as error:
        raise CircleError(f"{text[1:]} cannot be read: {error.strerror}") from None
    try:
        receipt = read(token, keys)
    except BadReceipt as error:
        return ReceiptResult(holds=False, why=str(error))
    chosen(settings, COMMANDS, receipt.partition)
    return _look(settings, receipt)


def _look(settings: Settings, receipt: Receipt) -> ReceiptResult:
    with LogReader(settings, COMMANDS, receipt.partition, start=receipt.offset) as reader:
        for message in reader.messages(receipt.offset + 1):
            if offset_of(message) != receipt.offset:
                continue
            value = message.value() or b""
            holds = record_digest(key_of(message) or b"", value) == receipt.digest
            command = command_of(codec_of(settings), value)
            readable = not isinstance(command, Undecodable)
            return ReceiptResult(
                holds=holds,
                why="the record is the one the receipt was given for" if holds else "another record stands there",
                command=type(command).__name__ if readable else "",
                reservation_id=getattr(command, "reservation_id", NO_RESERVATION),
                reservation_ids=list(command.reservation_ids) if isinstance(command, ReserveInTurn) else [],
                event_id=getattr(command, "event_id", NO_EVENT),
                time=rfc3339(stamped(stamp_of(message))),
                partition=receipt.partition,
                offset=receipt.offset,
            )
    return ReceiptResult(holds=False, why=f"the log has no record at {receipt.partition}/{receipt.offset}")


def _keys(settings: Settings, keys_file: Path | None) -> dict[str, Ed25519PublicKey]:
    if keys_file is None:
        if settings.jwt_key_file is None:
            raise BadKeys(
                "whose receipt? Set CIRCLE_JWT_KEY_FILE, or give --keys with /.well-known/jwks.json in a file"
            )
        return {kid: key.public for kid, key in KeyRing.load(settings.jwt_key_file).by_kid.items()}
    try:
        return read_jwks(keys_file.read_text())
    except (OSError, ValueError) as error:
        raise BadKeys(f"--keys {keys_file}: {error}") from None
