"""Mail over TLS: STARTTLS and TLS from the first byte. It works with the right authority; else an error names the
cause."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path

import psutil
import pytest

from connectors.settings import Settings
from pipelines.configuration import settings_from_env
from pipelines.notifications.mail.transport import MailFailed, transport
from tests.harness.authority import Authority
from tests.harness.mail_server import MailServer

# aiosmtpd does not see implicit TLS, and treats the login as one in clear.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
USER, PASSWORD = "circle", "p@ss-0815"  # a test's


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(params=["STARTTLS", "TLS"])
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[MailServer]:
    implicit = request.param == "TLS"
    with MailServer(tls=authority.context(), implicit=implicit, login=(USER, PASSWORD)) as running:
        yield running


def settings(server: MailServer, ca_file: Path | None, login: str = f"{USER}:p%40ss-0815@") -> Settings:
    given = {"CIRCLE_SMTP_URL": server.url.replace("://", f"://{login}")}
    return settings_from_env(given | ({"CIRCLE_SMTP_CA_FILE": str(ca_file)} if ca_file else {}))


async def sent(settings: Settings) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "tickets@example.org", "ada@example.org", "Your tickets"
    mail.set_content("A-1")
    made = transport(settings)
    assert made is not None
    async with made.session() as session:
        await session.send(mail)


async def test_with_its_authority_and_a_password_a_server_takes_mails(server: MailServer, authority: Authority) -> None:
    await sent(settings(server, authority.ca_file))
    assert [one["Subject"] for one in server.taken] == ["Your tickets"]


@pytest.mark.parametrize("ours", [False, True], ids=["the system's authorities", "another authority"])
async def test_a_server_of_another_authority_gets_neither_password_nor_mail(
    server: MailServer, authority: Authority, ours: bool
) -> None:
    told = r"does not let us in: .*(?i:certificate.verify.failed).*CIRCLE_SMTP_CA_FILE"
    with pytest.raises(MailFailed, match=told) as caught:
        await sent(settings(server, authority.other_ca_file if ours else None))
    assert PASSWORD not in str(caught.value)
    assert server.logins == []
    assert server.offered == []


async def test_a_wrong_password_is_told_without_it(server: MailServer, authority: Authority) -> None:
    with pytest.raises(MailFailed, match="does not let us in: SMTPAuthenticationError") as caught:
        await sent(settings(server, authority.ca_file, f"{USER}:wrong-0815@"))
    assert "wrong-0815" not in str(caught.value)
    assert set(server.logins) == {USER}, "once for each mechanism"
    assert server.offered == []


@pytest.mark.parametrize("password", ["p%40ss-0815", "wrong-0815"], ids=["let in", "refused"])
async def test_a_session_that_is_over_has_no_socket(server: MailServer, authority: Authority, password: str) -> None:
    with suppress(MailFailed):
        await sent(settings(server, authority.ca_file, f"{USER}:{password}@"))
    assert server.logins, "the server was asked"
    await asyncio.sleep(0)  # the loop's next turn closes what was cut
    connections = psutil.Process().net_connections()
    assert [one for one in connections if one.raddr and one.raddr.port == server.port] == []


async def test_a_server_without_a_password_of_ours_takes_no_mail(server: MailServer, authority: Authority) -> None:
    with pytest.raises(MailFailed, match="53"):  # 530: authentication required
        await sent(settings(server, authority.ca_file, ""))
    assert server.offered == []


async def test_where_starttls_is_offered_it_is_used_though_no_password_asks_for_it(authority: Authority) -> None:
    with MailServer(tls=authority.context()) as server:
        await sent(settings(server, authority.ca_file, ""))
        assert server.encrypted == [True]
        with pytest.raises(MailFailed, match=r"(?i)certificate.verify.failed"):
            await sent(settings(server, authority.other_ca_file, ""))
        assert len(server.taken) == 1
