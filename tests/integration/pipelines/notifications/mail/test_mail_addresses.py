"""Every address that registration accepts works over SMTP, or real servers refuse it with a clear error."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.auth.mail import normalised
from connectors.settings import Settings
from pipelines.notifications.mail.render import Mail, render, render_account
from pipelines.notifications.mail.transport import MailRefused, transport
from tests.harness.mail_server import MailServer

FROM = "Circle <tickets@example.org>"
TYPED = [
    "jos\u00e9@example.org", "jose\u0301@example.org", "\u7528\u6237@\u4f8b\u3048.jp", "o'hara+x@b\u00fccher.example",
    "a!#$%&*/=?^_`{|}~-b@example.org", "ada@localhost",
]  # fmt: skip


@pytest.fixture(params=[True, False], ids=["SMTPUTF8", "ASCII only"])
def server(request: pytest.FixtureRequest) -> Iterator[MailServer]:
    with MailServer(utf8=request.param) as running:
        yield running


@pytest.mark.parametrize("typed", TYPED)
async def test_a_mail_reaches_its_address_or_says_that_the_server_cannot(server: MailServer, typed: str) -> None:
    address, made = normalised(typed), datetime(2031, 5, 1, tzinfo=UTC)
    mails = [
        render_account("password-changed", address, FROM, "account/1", made),
        render(Mail(identity="1", kind="registered", email=address, name="Zo\u00eb", created_at=made, data={}), FROM),
    ]
    way = transport(Settings(smtp_url=server.url))
    assert way is not None
    async with way.session() as session:
        if address.isascii() or server.utf8:
            for mail in mails:
                await session.send(mail)
            assert [to for to, _ in server.offered] == [address] * 2
            assert all(address.encode() in content for _, content in server.offered)
        else:
            for mail in mails:
                with pytest.raises(MailRefused, match="no SMTPUTF8"):
                    await session.send(mail)
            await session.send(render_account("password-changed", "bob@example.org", FROM, "account/2", made))
            assert [to for to, _ in server.offered] == ["bob@example.org"], "the session goes on"


async def test_a_file_has_the_address_as_it_is(tmp_path: Path) -> None:
    way: Any = transport(Settings(smtp_url=f"file://{tmp_path}"))
    async with way.session() as session:
        mail = render_account("password-changed", "jos\u00e9@example.org", FROM, "x", datetime(2031, 5, 1, tzinfo=UTC))
        await session.send(mail)
    (file,) = tmp_path.iterdir()
    assert "To: jos\u00e9@example.org" in file.read_text(encoding="utf-8")
