"""Brings a mail address into one form, so that one mailbox has one account for every spelling. Pure.

Guarantee: `normalised` of its own result is the same text, and the mail sender can write to it. Addresses that differ
only in case, in the composition of letters (NFC, RFC 6532 section 3.1) or in the spelling of the domain (IDNA 2008,
UTS 46) have one form. email-validator checks the syntax; the domain need not exist. Quoted local parts, comments and
domain literals are refused.
"""

from __future__ import annotations

import unicodedata
from email.errors import MessageError
from email.headerregistry import Address

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from api.http.problem import Problem, invalid

ADDRESS_BYTES_MAX = 254  # RFC 5321, erratum 1690
LOCAL_BYTES_MAX = 64
# Such as .test and .local: a mail server inside an organization can have any name, and a mailed link is the real test.
SPECIAL_USE_DOMAIN_NAMES.clear()


def normalised(address: str, *, field: str = "email") -> str:
    """The address trimmed, in lower case, composed, with an ASCII domain. Raises Problem invalid-request."""
    try:
        local, domain = _read(address.strip())
        local, domain = _read(f"{_lower(local)}@{domain}")  # has to be valid in lower case, too
        one = f"{local}@{domain}"
        if local != _lower(local) or str(Address(username=local, domain=domain)) != one:
            raise EmailNotValidError("It has more than one spelling.")
    except EmailNotValidError as error:
        raise invalid(field, f"is not a mail address: {error}") from None
    except (ValueError, MessageError):
        raise invalid(field, "is not an address to which mail can be sent") from None
    if len(local.encode()) > LOCAL_BYTES_MAX:
        raise invalid(field, f"has more than {LOCAL_BYTES_MAX} bytes before the @")
    if len(one.encode()) > ADDRESS_BYTES_MAX:
        raise invalid(field, f"has more than {ADDRESS_BYTES_MAX} bytes")
    return one


def spellings(address: str) -> list[str]:
    """The forms in which an account's address may be stored: today's form, and only trimmed and in lower case, as for
    older accounts. Refuses nothing: an invalid address belongs to no account, or to an older one.
    """
    older = address.strip().lower()
    try:
        today = normalised(address)
    except Problem:
        return [older]
    return [today] if today == older else [today, older]


def mailbox_of(address: str) -> str:
    """The mailbox of a normalised address, by the address alone: its local part ends before the first "+" (subaddresses
    of RFC 5233, as on most hosts).

    It is used only to count several accounts together; mails go to the address itself. Dots stay, because ad.a@ and
    ada@ are two people on most hosts. Other separators of some hosts ("-", "=") stay too, and a domain of one person
    with many addresses is not detected. On the few hosts where "+" is an ordinary letter, a+1@ and a+2@ are counted
    together.
    """
    local, _, domain = address.rpartition("@")
    mailbox, _, _ = local.partition("+")
    return f"{mailbox or local}@{domain}"


def _read(address: str) -> tuple[str, str]:
    """Local part and ASCII domain. Raises EmailNotValidError."""
    parts = validate_email(
        address,
        allow_smtputf8=True,
        allow_quoted_local=False,
        allow_domain_literal=False,
        allow_display_name=False,
        check_deliverability=False,
        globally_deliverable=False,
    )
    return parts.local_part, parts.ascii_domain


def _lower(local: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).lower())
