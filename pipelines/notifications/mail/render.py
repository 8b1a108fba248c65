"""A mail's text from its templates: `templates/KIND.txt` (its first line is the subject) and `templates/KIND.html`.

Guarantee: the same mail has the same bytes, with its Message-ID, date and boundary. HTML is escaped and headers have no
line breaks, for any title. Pure, except that the templates are read once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import idna
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from pipelines.notifications.mail.attachments import Attachment
from schemas.money import formatted

SUBJECT_CHARS_MAX = 150


@dataclass(frozen=True, kw_only=True, slots=True)
class Occasion:
    """The rows' data about the event and the reservation of a mail; "" if they have none."""

    title: str = ""
    venue: str = ""
    starts_at: datetime | None = None
    timezone: str = "UTC"
    ticket_type: str = ""
    currency: str = ""
    price_minor: int = 0  # of the reservation, or of the refused order; at 0 the mail names no money


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """One mail: its user and its subject."""

    identity: str  # of the message: the same text each time
    kind: str
    email: str
    name: str
    created_at: datetime
    data: dict[str, Any]
    link: str = ""  # leads its reader to the page about it
    attachments: tuple[Attachment, ...] = ()
    occasion: Occasion = field(default_factory=Occasion)


@dataclass(frozen=True, kw_only=False, slots=True)
class Link:
    """A link that only its reader knows, and how long it works."""

    url: str
    token: str
    ttl_s: int


def render_account(
    kind: str, email: str, sender: str, identity: str, created_at: datetime, link: Link | None = None
) -> EmailMessage:
    """A mail about an account, from `templates/account/KIND.txt`; the HTML says the same. It contains no names.

    Raises ValueError or email.errors.MessageError if the address is invalid.
    """
    lasts = "" if link is None else _lasts(link.ttl_s)
    context = {"link": link, "lasts": lasts, "at": f"{created_at.astimezone(UTC):%d %b %Y, %H:%M} UTC"}
    subject, _, body = TEMPLATES.get_template(f"account/{kind}.txt").render(context).partition("\n")
    paragraphs = [part.strip() for part in body.split("\n\n") if part.strip()]
    html = TEMPLATES.get_template("account/layout.html").render(subject=subject, paragraphs=paragraphs, link=link)
    return _message(identity, subject, sender, _recipient("", email), created_at, body, html)


def render(mail: Mail, sender: str) -> EmailMessage:
    """The mail, plain and HTML.

    Raises jinja2.TemplateError if the data does not fit the template, ValueError or email.errors.MessageError if the
    address is invalid.
    """
    context = {"name": mail.name, "data": mail.data, "event": _event(mail), "occasion": mail.occasion}
    context |= {"link": mail.link, "attached": len(mail.attachments)}
    text = TEMPLATES.get_template(f"{mail.kind}.txt").render(context)
    subject, _, body = text.partition("\n")
    html = TEMPLATES.get_template(f"{mail.kind}.html").render(context, subject=subject)
    to = _recipient(mail.name, mail.email)
    message = _message(mail.identity, subject, sender, to, mail.created_at, body, html)
    if mail.attachments:
        _attach(message, mail)
    return message


def _attach(message: EmailMessage, mail: Mail) -> None:
    """Attach files. The text stays first, as one part with two forms."""
    for one in mail.attachments:
        main, _, sub = one.media_type.partition("/")
        message.add_attachment(one.content, maintype=main, subtype=sub, filename=one.name)
    message.set_boundary(f"=_{hashlib.sha256(mail.identity.encode()).hexdigest()[:32]}_files")


def when(moment: datetime | str | None, timezone: str) -> str:
    """A time on the clock of the place, with its zone: "Thu 1 May 2031, 21:00 (Europe/Vienna)".

    If clocks show a time twice, the text says which one it is: "Sun 31 Oct 2027, 02:30 CET (Europe/Vienna)".
    """
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return ""
    if moment is None:
        return ""
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        timezone, zone = "UTC", ZoneInfo("UTC")
    local = moment.astimezone(zone)
    twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M}{f' {local.tzname()}' if twice else ''} ({timezone})"


def places(data: dict[str, Any]) -> str:
    """The places of a reservation: "seats A-3, A-4", or "2 tickets"."""
    seats = data.get("seats") or ([data["seat"]] if data.get("seat") else [])
    if seats:
        return f"seat{'s' if len(seats) > 1 else ''} {', '.join(seats)}"
    quantity = data.get("quantity", 1)
    return f"{quantity} ticket{'' if quantity == 1 else 's'}"


def _event(mail: Mail) -> dict[str, Any]:
    """The event's data from the message, or else from the rows."""
    data, occasion = mail.data, mail.occasion
    timezone = data.get("timezone") or occasion.timezone or "UTC"
    return {
        "title": data.get("title") or occasion.title or "your event",
        "venue": data.get("venue") or occasion.venue,
        "when": when(data.get("starts_at") or occasion.starts_at, timezone),
        "timezone": timezone,
    }


def _message(
    identity: str, subject: str, sender: str, to: Address, created_at: datetime, body: str, html: str
) -> EmailMessage:
    digest = hashlib.sha256(identity.encode()).hexdigest()[:32]
    name, address = parseaddr(sender)
    message = EmailMessage(policy=SMTP)
    message["Subject"] = _line(subject)[:SUBJECT_CHARS_MAX]
    message["From"] = Address(_line(name), addr_spec=address)
    message["To"] = to
    message["Date"] = format_datetime(created_at.astimezone(UTC))
    message["Message-ID"] = f"<{digest}@{address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body.strip() + "\n", cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    message.set_boundary(f"=_{digest}")
    return message


def _recipient(name: str, email: str) -> Address:
    """A mail's recipient, as in api.auth.mail: any letters (RFC 6532), an ASCII domain. Raises ValueError."""
    local, _, domain = email.rpartition("@")
    host = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    if (
        not local or "@" in local or str(Address(username=local, domain=host)) != f"{local}@{host}"
    ):  # it would have to be quoted
        raise ValueError("no mail address")
    return Address(_line(name), username=local, domain=host)


def _lasts(seconds: int) -> str:
    """A time span as people say it: "3 days", "1 hour"."""
    unit, count = ("day", seconds // 86_400) if seconds >= 86_400 else ("hour", max(1, seconds // 3_600))
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _line(text: str) -> str:
    """Text as one line of a header."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=select_autoescape(enabled_extensions=("html",), disabled_extensions=("txt",), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters.update(
        money=formatted, when=when, places=places, sentence=lambda text: text[:1].upper() + text[1:]
    )
    return environment


TEMPLATES = _environment()
