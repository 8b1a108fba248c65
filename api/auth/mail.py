"""A mail address has one form here, so that one mailbox has one account however its address is typed. Pure.

Guarantee: `normalised` of what it returned is the same text, and the mail sender can write it. Two addresses that
differ in case, in the composition of their letters (NFC, RFC 6532 section 3.1) or in how their domain is written
(IDNA 2008, UTS 46) are one. email-validator says what an address is; nobody is asked whether its domain exists.
Quoted local parts, comments and domain literals are none.
"""

from __future__ import annotations

import unicodedata
from email.errors import MessageError
from email.headerregistry import Address

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from api.http.problem import Problem, invalid

ADDRESS_BYTES_MAX = 254  # RFC 5321, erratum 1690
LOCAL_BYTES_MAX = 64
# Such as .test and .local: a mail server in the same house has whatever name, and a mailed link has the last word.
SPECIAL_USE_DOMAIN_NAMES.clear()


def normalised(address: str, *, field: str = "email") -> str:
    """Trimmed, in lower case, composed, with an ASCII domain. Raises Problem invalid-request for what is no address."""
    try:
        local, domain = _read(address.strip())
        local, domain = _read(f"{_lower(local)}@{domain}")  # in lower case it has to be one, too
        one = f"{local}@{domain}"
        if local != _lower(local) or str(Address(username=local, domain=domain)) != one:
            raise EmailNotValidError("It is written in more than one way.")
    except EmailNotValidError as error:
        raise invalid(field, f"is no mail address: {error}") from None
    except (ValueError, MessageError):
        raise invalid(field, "is no mail address that a mail can be written to") from None
    if len(local.encode()) > LOCAL_BYTES_MAX:
        raise invalid(field, f"has more than {LOCAL_BYTES_MAX} bytes before the @")
    if len(one.encode()) > ADDRESS_BYTES_MAX:
        raise invalid(field, f"has more than {ADDRESS_BYTES_MAX} bytes")
    return one


def spellings(address: str) -> list[str]:
    """How an account's address may be stored, for looking it up: in today's form, and in lower case and trimmed, which
    was all that older accounts were asked for. Refuses nothing: what is no address today is nobody's, or an older one.
    """
    older = address.strip().lower()
    try:
        today = normalised(address)
    except Problem:
        return [older]
    return [today] if today == older else [today, older]


def mailbox_of(address: str) -> str:
    """The mailbox that an address as `normalised` returns it is delivered to, as far as an address tells: its local
    part ends before the first "+" (RFC 5233's subaddresses, as most hosts have them).

    It serves to count what several accounts do together, and for nothing else: mails go to the address itself. Dots
    stay, because ad.a@ and ada@ are two people at most hosts. What other hosts put between a mailbox and its detail
    ("-", "=") stays, too, and nobody sees that all addresses of a domain may be one person's. At the few hosts where
    "+" is a letter like others, the people of a+1@ and a+2@ are counted together.
    """
    local, _, domain = address.rpartition("@")
    mailbox, _, _ = local.partition("+")
    return f"{mailbox or local}@{domain}"


def _read(address: str) -> tuple[str, str]:
    """Local part and ASCII domain. Raises EmailNotValidError."""
    found = validate_email(
        address,
        allow_smtputf8=True,
        allow_quoted_local=False,
        allow_domain_literal=False,
        allow_display_name=False,
        check_deliverability=False,
        globally_deliverable=False,
    )
    return found.local_part, found.ascii_domain


def _lower(local: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).lower())
