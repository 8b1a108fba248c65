"""Several buyers' requests of one event in one record: what is valid, and the single requests in it. Pure.

Guarantee: `requests_of(in_turn(event, id, requests))` gives the same requests. A record from another writer with a list
of another length, a number that is none, or an id beyond its limit has a flaw, and is decided as an unreadable record.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.avro_reader import ID_CHARS_MAX, INT_MAX
from schemas.commands import ReserveInTurn, ReserveTickets
from schemas.field_types import LONG_MAX, LONG_MIN
from schemas.ids import NOBODY, CommandId, EventId

REQUESTS_MAX = 200  # about 170 bytes each: the record stays far below a command's limit, and its facts are one batch
DIGITS_MAX = 20  # of a 64-bit number with its sign


def in_turn(event_id: EventId, command_id: CommandId, requests: Sequence[ReserveTickets]) -> ReserveInTurn:
    """One command with these requests of one event, 1 to REQUESTS_MAX, none with seats or codes."""
    return ReserveInTurn(
        event_id=event_id,
        user_id=NOBODY,
        command_id=command_id,
        command_ids=[one.command_id for one in requests],
        reservation_ids=[one.reservation_id for one in requests],
        user_ids=[one.user_id for one in requests],
        ticket_type_ids=[one.ticket_type_id for one in requests],
        quantities=[str(one.quantity) for one in requests],
        fingerprints=[str(one.fingerprint) for one in requests],
        mailboxes=["" if one.mailbox is None else str(one.mailbox) for one in requests],
    )


def is_plain(request: ReserveTickets) -> bool:
    """Whether a request can be decided in turn with others: it names no seats and has no codes."""
    return not request.seats and request.promo_code is None and request.access_code is None


def requests_of(command: ReserveInTurn) -> list[ReserveTickets]:
    """The single requests, in their order. Only for a command without a flaw."""
    event_id = command.event_id
    lists = zip(
        command.command_ids,
        command.reservation_ids,
        command.user_ids,
        command.ticket_type_ids,
        command.quantities,
        command.fingerprints,
        command.mailboxes,
        strict=True,
    )
    return [
        ReserveTickets(
            event_id=event_id,
            user_id=user_id,
            command_id=command_id,
            reservation_id=reservation_id,
            ticket_type_id=ticket_type_id,
            quantity=int(quantity),
            seats=[],
            fingerprint=int(fingerprint),
            mailbox=int(mailbox) if mailbox else None,
        )
        for command_id, reservation_id, user_id, ticket_type_id, quantity, fingerprint, mailbox in lists
    ]


def flaw_of(command: ReserveInTurn) -> str:
    """Why the lists are not valid, in words; "" if they are."""
    count = len(command.reservation_ids)
    if not 1 <= count <= REQUESTS_MAX:
        return f"ReserveInTurn has {count} requests; 1 to {REQUESTS_MAX} are decided in turn"
    for name in _LISTS:
        texts: list[str] = getattr(command, name)
        if len(texts) != count:
            return f"ReserveInTurn has {len(texts)} {name} for {count} reservation_ids"
        if max(map(len, texts)) > ID_CHARS_MAX:
            return f"ReserveInTurn.{name} has a text of more than {ID_CHARS_MAX} characters"
    if not _all_within(command.quantities, 0, INT_MAX):
        return "ReserveInTurn.quantities has a text that is no whole number of 31 bits"
    if not _all_within(command.fingerprints, LONG_MIN, LONG_MAX):
        return "ReserveInTurn.fingerprints has a text that is no whole number of 64 bits"
    if not _all_within([text for text in command.mailboxes if text], 0, LONG_MAX):
        return "ReserveInTurn.mailboxes has a text that is no whole number of 63 bits"
    return ""


_LISTS = tuple(name for name in ReserveInTurn.__struct_fields__ if name.endswith("s"))


def _all_within(texts: Sequence[str], least: int, most: int) -> bool:
    """Whether each text is the decimal form of a number within these bounds, as `str` writes it."""
    try:
        return all(len(text) <= DIGITS_MAX and least <= int(text) <= most and text == str(int(text)) for text in texts)
    except ValueError:
        return False
