"""A real SMTP server in this process. It keeps its mails and answers as the test says."""

from __future__ import annotations

import email
import email.policy
import ssl
import threading
from collections.abc import Callable
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from ops.run.services.process import LOOPBACK, free_port
from tests.harness.flows import WAIT_S

TAKEN = "250 OK"


class MailServer:
    """`answer` gives each mail a reply such as "451 later".

    It runs in the server's thread. With `tls` the server offers STARTTLS; with `implicit` it speaks only TLS. With
    `login` it takes mails only after a login with this user and password.
    """

    def __init__(
        self,
        *,
        utf8: bool = True,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.answer: Callable[[EmailMessage], str] = lambda _: TAKEN
        self.offered: list[tuple[str, bytes]] = []  # every try: to whom, the bytes
        self.taken: list[EmailMessage] = []
        self.logins: list[str] = []  # every try to log in: as whom
        self.encrypted: list[bool] = []  # of every mail: whether it came in TLS after STARTTLS
        self.port, self.utf8 = free_port(), utf8
        self._changed = threading.Condition()
        self._login, self._scheme = login, "smtps" if implicit else "smtp"
        self._controller = Controller(
            self,
            hostname=LOOPBACK,
            port=self.port,
            enable_SMTPUTF8=utf8,
            ssl_context=tls if implicit else None,
            tls_context=None if implicit else tls,
            auth_required=login is not None,
            auth_require_tls=not implicit,  # it does not see this with implicit TLS
            authenticator=self._authenticate,
        )

    @property
    def url(self) -> str:
        return f"{self._scheme}://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    async def handle_DATA(self, _server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        answer = self.answer(message)
        with self._changed:
            self.encrypted.append(session.ssl is not None)
            self.offered.append((envelope.rcpt_tos[0], content))
            if answer == TAKEN:
                self.taken.append(message)
            self._changed.notify_all()
        return answer

    def _authenticate(self, _server: Any, _session: Session, _envelope: Envelope, _how: str, data: Any) -> AuthResult:
        self.logins.append(data.login.decode())
        known = isinstance(data, LoginPassword) and self._login == (data.login.decode(), data.password.decode())
        return AuthResult(success=known, handled=False)

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until `condition` holds. It is checked after each offered mail."""
        with self._changed:
            assert self._changed.wait_for(condition, WAIT_S), f"not within {WAIT_S} s: {what}"

    def until_taken(self, number: int) -> None:
        self.wait(lambda: len(self.taken) >= number, f"{number} mails, there are {len(self.taken)}")
