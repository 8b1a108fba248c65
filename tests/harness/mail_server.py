"""A real SMTP server in this process, which keeps what it is given and answers as a test wants."""

from __future__ import annotations

import email
import email.policy
import threading
from collections.abc import Callable
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope, Session

from ops.services.process import LOOPBACK, free_port
from tests.harness.flows import WAIT_S

TAKEN = "250 OK"


class MailServer:
    """`answer` decides on each mail: a reply such as "451 later". It runs in the server's thread."""

    def __init__(self, *, utf8: bool = True) -> None:
        self.answer: Callable[[EmailMessage], str] = lambda _: TAKEN
        self.offered: list[tuple[str, bytes]] = []  # every try: to whom, the bytes
        self.taken: list[EmailMessage] = []
        self.port, self.utf8 = free_port(), utf8
        self._changed = threading.Condition()
        self._controller = Controller(self, hostname=LOOPBACK, port=self.port, enable_SMTPUTF8=utf8)

    @property
    def url(self) -> str:
        return f"smtp://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    async def handle_DATA(self, _server: Any, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        answer = self.answer(message)
        with self._changed:
            self.offered.append((envelope.rcpt_tos[0], content))
            if answer == TAKEN:
                self.taken.append(message)
            self._changed.notify_all()
        return answer

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Until `condition` holds, looked at whenever a mail was offered."""
        with self._changed:
            assert self._changed.wait_for(condition, WAIT_S), f"not within {WAIT_S} s: {what}"

    def until_taken(self, number: int) -> None:
        self.wait(lambda: len(self.taken) >= number, f"{number} mails, there are {len(self.taken)}")
