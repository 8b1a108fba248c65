"""Hands mails over: to a server (SMTP), or into a directory for development.

Guarantee: when `send` returns, the server or the directory has the mail. `MailRefused`: it will never take this mail.
Any other `MailFailed`: it may take the mail later, or has it and the answer was lost. A second try has the same
Message-ID.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractAsyncContextManager, suppress
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import unquote, urlsplit

import aiosmtplib

from connectors.errors import CircleError
from connectors.settings import Settings

AS_IT_IS = SMTP.clone(utf8=True)  # a file can hold any letters
TIMEOUT_S = 15.0  # for each answer of the server
PERMANENT = 500  # a reply of 5xx: the same mail will be refused again (RFC 5321, 4.2.1)


class MailFailed(CircleError):
    """A mail was not taken, this time."""


class MailRefused(MailFailed):
    """A mail will never be taken: its address does not exist, or the server refuses its text."""


class MailSession(Protocol):
    """A connection that takes any number of mails, one after the other."""

    async def send(self, mail: EmailMessage) -> None:
        """Hand one over. Raises MailFailed, MailRefused."""


class Transport(Protocol):
    """Where mails are handed over."""

    def session(self) -> AbstractAsyncContextManager[MailSession]:
        """A new session. Entering it raises MailFailed when the server does not answer."""


def transport(settings: Settings) -> Transport | None:
    """The transport that CIRCLE_SMTP_URL names; None if it is not set."""
    if settings.smtp_url is None:
        return None
    if settings.smtp_url.startswith("file:"):
        return FileMailbox(Path(unquote(urlsplit(settings.smtp_url).path)))
    return SmtpServer(settings.smtp_url, settings.smtp_ca_file)


class SmtpServer:
    """A mail server. A password is never sent without TLS, and the server's certificate is verified."""

    def __init__(self, url: str, ca_file: Path | None = None) -> None:
        self._url, self._ca_file = url, ca_file

    def session(self) -> SmtpSession:
        parts = urlsplit(self._url)
        tls = parts.scheme == "smtps"
        password = unquote(parts.password) if parts.password else None
        client = _SmtpClient(
            hostname=parts.hostname,
            port=parts.port or (465 if tls else 587 if password else 25),
            username=unquote(parts.username) if parts.username else None,
            password=password,
            use_tls=tls,
            start_tls=True if password and not tls else None,  # None: where the server offers it
            cert_bundle=str(self._ca_file) if self._ca_file is not None else None,
            timeout=TIMEOUT_S,
        )
        return SmtpSession(client)


class _SmtpClient(aiosmtplib.SMTP):
    """Closes at once. The library says farewell in TLS, which may take seconds and outlive the event loop."""

    def close(self) -> None:
        transport = self.transport
        super().close()
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()


class SmtpSession:
    """One connection. It is made again if the server has ended it."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self._client = client

    async def __aenter__(self) -> Self:
        await self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            await self._client.quit(timeout=1.0)
        self._client.close()

    async def send(self, mail: EmailMessage) -> None:
        if not self._client.is_connected:
            await self._connect()
        sender, recipient = (mail[name].addresses[0].addr_spec for name in ("From", "To"))
        try:
            await self._client.send_message(mail, sender=sender, recipients=[recipient])
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _failure(max(one.code for one in error.recipients), "the recipient was refused") from error
        except aiosmtplib.SMTPResponseException as error:
            raise _failure(error.code, "the server refused the mail") from error
        except aiosmtplib.SMTPNotSupported as error:
            raise MailRefused("the server has no SMTPUTF8, which an address with such letters needs") from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise MailFailed(f"{type(error).__name__}: {error}") from error

    async def _connect(self) -> None:
        try:
            await self._client.connect()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            hint = "; look at CIRCLE_SMTP_CA_FILE" if "CERTIFICATE_VERIFY_FAILED" in str(error) else ""
            raise MailFailed(f"the mail server does not let us in: {type(error).__name__}: {error}{hint}") from error
        except asyncio.CancelledError:
            self._client.close()  # the library does so for errors only
            raise


class FileMailbox:
    """A directory of .eml files, one for each mail, named by Message-ID: a second try writes the same file.

    Only the user of this process can read the files.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def session(self) -> FileMailbox:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def send(self, mail: EmailMessage) -> None:
        name = str(mail["Message-ID"]).strip("<>").partition("@")[0]
        try:
            await asyncio.to_thread(self._write, name, mail.as_bytes(policy=AS_IT_IS))
        except OSError as error:
            raise MailFailed(f"{type(error).__name__}: {error}") from error

    def _write(self, name: str, text: bytes) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self._directory / f".{name}"
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(text)
        beside.replace(self._directory / f"{name}.eml")


def _failure(code: int, text: str) -> MailFailed:
    """The error for a server's reply. Its text may repeat the address, so it is left out."""
    return MailRefused(f"{text} for good ({code})") if code >= PERMANENT else MailFailed(f"{text} for now ({code})")
