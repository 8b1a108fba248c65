"""Everything behind TLS and credentials: each process does its work with its own principal and only its own rights.

Kafka is Apache's, with TLS, SCRAM and an authorizer. PostgreSQL and Valkey have passwords; in front of them is TLS,
which the embedded builds do not have themselves.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka import KafkaError, Message
from confluent_kafka.admin import AclBinding, AclBindingFilter

from connectors import redis_clients
from connectors.errors import AccessRefused
from connectors.kafka import READERS, admin, producer
from connectors.kafka_clients import ask_for_brokers
from connectors.postgres import connect
from connectors.settings import Settings
from connectors.topics import apply_topics
from ops.migrations import migrate
from ops.operate import database_rights, redis_rights
from ops.operate.acls import Process, ResourceKind, Right, apply, bindings, chosen
from ops.operate.database_rights import PROCESSES, role_of
from ops.run.platform import development_key
from ops.run.services.postgres import Postgres
from ops.run.services.process import free_port, run_coroutine, wait_for
from ops.run.services.valkey import Valkey
from ops.run.supervisor import ChildSpec, Supervisor
from pipelines.configuration import settings_from_env
from pipelines.watch.dead_letters import letters
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS, dead_letters
from sinks.dead_letters import DeadLetters
from tests.harness.authority import Authority
from tests.harness.flows import eventually, everything, rows_of
from tests.harness.secured_kafka import SUPERUSER, SecuredKafka
from tests.harness.shop import Shop
from tests.harness.tls_proxy import TlsProxy
from tests.harness.token_server import TokenServer

pytestmark = pytest.mark.timeout(300)
BRANCHES = ("projections", "notifications", "monitoring")
PIPELINES = ("reservations", "payments", "read-side", *BRANCHES)
NOBODY = "nobody-in-particular"
PARTITIONS = "2"
NAMES = {"BROKER": "CLUSTER"}  # the client's word, and the broker's
ALLOWED = re.compile(
    r"^Principal = (\S+) is Allowed operation = (\w+) .*resourceType=(\w+), resourceName=([^,]+), .* operation=(\w+)",
    re.MULTILINE,
)
LOOKED_UP = "a client looks for the coordinator of a group in name only when it has time to"
NOT_DONE_HERE = {
    **{(f"User:{one}", "GROUP", READERS, "DESCRIBE"): LOOKED_UP for one in (*PIPELINES, "api", "operator")},
    **{
        (f"User:{one}", "TOPIC", COMMANDS, "READ"): "a fact whose command the log does not have"
        for one in (*BRANCHES, "read-side")
    },
    ("User:operator", "TOPIC", NOTIFICATIONS, "WRITE"): "an import of exported messages",
    ("User:api", "TOPIC", dead_letters(NOTIFICATIONS), "WRITE"): "a mail that failed, sent back from the console",
    **{
        (f"User:{one}", "TOPIC", dead_letters(FACTS), "WRITE"): "a fact that a branch cannot take"
        for one in ("monitoring", "read-side")
    },
    **{
        (f"User:{one}", "TOPIC", NOTIFICATIONS, operation): "the export; what version 0.2 left"
        for one in ("notifications", "read-side")
        for operation in ("READ", "WRITE")
    },
    **{
        (f"User:{one}", "GROUP", group, "READ"): "what version 0.2 left"
        for one in ("notifications", "read-side")
        for group in ("circle.notifications", "circle.mail")
    },
    **{
        ("User:read-side", "GROUP", f"circle.{one}", "READ"): "a branch has a group only if it runs alone"
        for one in ("projections", "monitoring")
    },
    ("User:payments", "TOPIC", dead_letters(FACTS), "WRITE"): "a job that failed",
    **{
        (f"User:{one}", "TOPIC", dead_letters(NOTIFICATIONS), "WRITE"): "a mail that failed"
        for one in ("notifications", "read-side")
    },
    ("User:reservations", "TOPIC", COMMANDS, "WRITE"): "a tick, when something is due",
    (
        "User:topics",
        "CLUSTER",
        "kafka-cluster",
        "DESCRIBE",
    ): "this version of the broker tells anybody how many there are",
    ("User:topics", "TOPIC", "tickets.", "ALTER_CONFIGS"): "a configuration that differs",
    ("User:topics", "TOPIC", NOTIFICATIONS, "ALTER_CONFIGS"): "a configuration that differs",
}
"""Rights that the tests of this module need not use, and what would."""


@dataclass(frozen=True)
class Secured:
    """The services, and the environment of each principal."""

    directory: Path
    base: dict[str, str]
    passwords: dict[str, str]
    proxies: tuple[TlsProxy, TlsProxy]
    kafka: SecuredKafka
    authority: Authority
    tokens: TokenServer

    def env(self, who: str, **changes: str) -> dict[str, str]:
        """The environment of a process."""
        return {**os.environ, **self.base, **self.own(who), **changes}

    def own(self, who: str) -> dict[str, str]:
        """The part that differs by process: its principal, its role on PostgreSQL and its user on Redis."""
        own = {"CIRCLE_KAFKA_SASL_USERNAME": who, "CIRCLE_KAFKA_SASL_PASSWORD": self.passwords[who]}
        if who in PROCESSES:
            login = f"//circle_{who}:{self.passwords[who]}@"
            own |= {
                name: re.sub("//.*@", login, self.base[name]) for name in ("CIRCLE_POSTGRES_URL", "CIRCLE_REDIS_URL")
            }
        return own

    def settings(self, who: str, **changes: str) -> Settings:
        return settings_from_env(self.env(who, **changes))

    def run(self, who: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        command = [sys.executable, "-m", "ops.cli.main", *arguments]
        env = self.env(who, **changes)
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=90, check=False)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    directory = tmp_path_factory.mktemp("secured")
    authority = Authority(directory)
    context = authority.context()
    passwords = {who: secrets.token_urlsafe(16) for who in (SUPERUSER, NOBODY, *Process)}
    with ExitStack() as stack:
        postgres, valkey = stack.enter_context(Postgres()), stack.enter_context(Valkey())
        tokens = stack.enter_context(TokenServer(context, passwords))
        jwks = tokens.write_keys(directory / "jwks.json")
        kafka = stack.enter_context(
            SecuredKafka(authority.keystore(), passwords, authority=authority.ca_file, jwks=jwks)
        )
        rows = stack.enter_context(TlsProxy(postgres.port, context, postgres=True))
        cache = stack.enter_context(TlsProxy(valkey.port, context))
        base = {
            "CIRCLE_OPERATOR_TOKEN": secrets.token_urlsafe(32),
            "CIRCLE_KAFKA_BOOTSTRAP_SERVERS": kafka.address,
            "CIRCLE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "CIRCLE_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "CIRCLE_KAFKA_CA_FILE": str(authority.ca_file),
            "CIRCLE_POSTGRES_URL": postgres.url.replace(str(postgres.port), str(rows.port))
            + f"?sslmode=verify-full&sslrootcert={authority.ca_file}",
            "CIRCLE_REDIS_URL": valkey.url.replace("redis://", "rediss://").replace(str(valkey.port), str(cache.port)),
            "CIRCLE_REDIS_CA_FILE": str(authority.ca_file),
            "CIRCLE_PARTITIONS": PARTITIONS,
            "CIRCLE_JWT_KEY_FILE": str(development_key(directory / "jwt.pem")),
            "CIRCLE_RATE_LIMIT_SCALE": "0",
            "CIRCLE_SMTP_URL": f"file://{directory}/mails",
        }
        found = Secured(
            directory=directory,
            base=base,
            passwords=passwords,
            proxies=(rows, cache),
            kafka=kafka,
            authority=authority,
            tokens=tokens,
        )
        apply(found.settings(SUPERUSER), chosen())
        run_coroutine(make_roles(found))
        apply_topics(found.settings(Process.TOPICS), partitions=int(PARTITIONS))
        yield found


async def make_roles(secured: Secured) -> None:
    """The tables, and for each process a role on PostgreSQL and a user on Redis, with a password."""
    url = secured.settings(SUPERUSER).postgres_url
    await migrate(url)
    await database_rights.apply(url, database_rights.chosen())
    connection = await connect(url)
    for process in PROCESSES:
        await connection.execute(f"ALTER ROLE {role_of(process)} PASSWORD '{secured.passwords[process]}'")
    await connection.close()
    with redis_clients.connect(secured.settings(SUPERUSER).redis_url) as client:
        for process in redis_rights.PROCESSES:
            client.execute_command("ACL", "SETUSER", *redis_rights.rules(process), f">{secured.passwords[process]}")
        client.acl_log_reset()


@pytest.fixture
def shop(secured: Secured, tmp_path: Path) -> Iterator[Shop]:
    """Every process of the platform, each under its own principal."""
    with running(secured, tmp_path, ("reservations", "payments", "read-side")) as opened:
        yield opened


@contextmanager
def running(secured: Secured, tmp_path: Path, pipelines: Sequence[str]) -> Iterator[Shop]:
    port = free_port()
    circle = [sys.executable, "-m", "ops.cli.main"]
    api = [*circle, "api", "--port", str(port)]
    specs = [ChildSpec(name="api", command=api, ready_url=f"http://127.0.0.1:{port}/readyz")]
    specs += [ChildSpec(name=name, command=[*circle, "pipeline", name], stop_rank=1) for name in pipelines]
    specs = [
        ChildSpec(
            name=one.name,
            command=one.command,
            stop_rank=one.stop_rank,
            ready_url=one.ready_url,
            env={"CIRCLE_INSTANCE": one.name, **secured.own(one.name)},
        )
        for one in specs
    ]
    supervisor = Supervisor(specs, env={**os.environ, **secured.base}, logs=tmp_path / "logs")
    supervisor.start()
    try:
        supervisor.wait_ready(90)
        opened = Shop(f"http://127.0.0.1:{port}", secured.settings(Process.OPERATOR))
        yield opened
        opened.http.close()
    finally:
        supervisor.stop()


def test_a_drop_goes_through_with_a_principal_for_each_process(secured: Secured, shop: Shop) -> None:
    event = shop.event(shop.organizer())
    buyer = shop.person()
    hold = buyer.reserve(event.id, ticket_type_id=event.seated, quantity=2)
    assert hold.status_code == 201, hold.text
    bought = buyer.confirm(hold.json()["id"])
    assert bought.status_code == 200, bought.text
    assert len(bought.json()["tickets"]) == 2
    released = buyer.reserve(event.id, ticket_type_id=event.seated, quantity=1).json()["id"]
    assert buyer.delete(f"/v1/reservations/{released}", key="release", prefer="wait=20").status_code in (200, 204)
    assert buyer.get(f"/v1/reservations/{hold.json()['id']}/explanation").status_code == 200
    with redis_clients.connect(secured.settings(SUPERUSER).redis_url) as client:
        assert client.acl_log() == [], "nobody was refused anything"
    assert all(proxy.connections > 0 for proxy in secured.proxies), "it went through TLS"
    export, kafka = str(secured.directory / "export"), secured.kafka
    for command in (
        ["verify"],
        ["dlq", "list"],
        ["seats", event.id],
        ["explain", hold.json()["id"]],
        ["doctor", "--no-start"],
        ["replay", "export", export],
        ["replay", "shadow", "--group", "next", "--remove"],
        ["replay", "load", "--to", kafka.address, export, "--new-ids", "--speed", "10000"],
    ):
        done = secured.run(Process.OPERATOR, *command)
        assert done.returncode == 0, (command, done.stdout + done.stderr)
    done = secured.run(Process.TOPICS, "topics", "apply")
    assert done.returncode == 0, done.stderr
    assert "unchanged" in done.stdout
    put_garbage(secured, readers_of_facts=1)
    done = secured.run(Process.OPERATOR, "dlq", "redrive", FACTS, "--all")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_sale_goes_through_with_a_principal_for_each_branch_that_runs_alone(secured: Secured, tmp_path: Path) -> None:
    with running(secured, tmp_path, ("reservations", "payments", *BRANCHES)) as shop:
        event = shop.event(shop.organizer())
        buyer = shop.person()
        hold = buyer.reserve(event.id, ticket_type_id=event.seated, quantity=1)
        assert hold.status_code == 201, hold.text
        assert buyer.confirm(hold.json()["id"]).status_code == 200
        mailed = "reservation.confirmed"
        eventually(lambda: mailed in buyer.get("/v1/notifications").text, "the confirmation is in the inbox")
        put_garbage(secured, readers_of_facts=2)  # projections and notifications
        look_from_the_console(shop)
        send_facts_back(secured, shop)
        with rows_of(secured.settings(SUPERUSER)) as query:
            count = "SELECT min(total) FROM (SELECT count(*) AS total FROM projection_positions GROUP BY consumer) AS t"
            assert query(count) == [(int(PARTITIONS),)], "each branch has a position on each partition"


def test_an_operator_loads_an_export_into_fresh_topics(secured: Secured) -> None:
    apply_topics(secured.settings(SUPERUSER), partitions=int(PARTITIONS), recreate=True)
    done = secured.run(Process.OPERATOR, "replay", "import", str(secured.directory / "export"))
    assert done.returncode == 0, done.stdout + done.stderr
    done = secured.run(Process.OPERATOR, "verify", "--no-postgres", "--no-redis")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_work_of_a_process_needs_each_of_its_rights(secured: Secured) -> None:
    """The authorizer's log shows which of the table's rights the work until here has used."""
    there = {
        (one.principal, NAMES.get(one.restype.name, one.restype.name), one.name, one.operation.name)
        for one in bindings(chosen())
    }
    used = {
        (principal, kind, name, asked)
        for principal, asked, kind, name, allowed in ALLOWED.findall(secured.kafka.decisions.read_text())
        if asked == allowed
    }
    assert there >= NOT_DONE_HERE.keys()
    unused = there - used - NOT_DONE_HERE.keys()
    assert not unused, "\n".join(map(str, sorted(unused)))


@pytest.mark.parametrize(
    ("process", "kind", "name", "told"),
    [
        (Process.RESERVATIONS, ResourceKind.TOPIC, "tickets.commands", "topic tickets.commands"),
        (Process.RESERVATIONS, ResourceKind.GROUP, "circle.reservations", "group"),
        (Process.RESERVATIONS, ResourceKind.TRANSACTIONAL_ID, "circle-reservations-", "transactional id"),
        (Process.PAYMENTS, ResourceKind.TOPIC, "tickets.facts", "topic tickets.facts"),
        (Process.PROJECTIONS, ResourceKind.GROUP, "circle.projections", "group"),
    ],
)
def test_a_process_without_one_of_its_rights_ends_and_says_which(
    secured: Secured, process: Process, kind: ResourceKind, name: str, told: str
) -> None:
    (right,) = [one for one in chosen(process) if (one.kind, one.name) == (kind, name)]
    take_away(secured, [right])
    try:
        done = secured.run(process, "pipeline", process.value)
    finally:
        apply(secured.settings(SUPERUSER), [right])
    assert done.returncode == 3, done.stdout + done.stderr
    assert "refuses us: " in done.stderr
    assert told in done.stderr
    assert "circle topics acls" in done.stderr
    assert secured.passwords[process] not in done.stderr


def test_a_principal_without_rights_is_refused_and_told_which_it_misses(secured: Secured) -> None:
    for command in (["pipeline", "projections"], ["verify"], ["topics", "apply"]):
        done = secured.run(NOBODY, *command)
        assert done.returncode == 3, done.stdout + done.stderr
        assert "circle topics acls" in done.stderr, done.stderr


@pytest.mark.parametrize(
    "changes",
    [
        {"CIRCLE_KAFKA_CA_FILE": "other-ca.pem"},
        {"CIRCLE_KAFKA_SASL_PASSWORD": "wrong-0815"},
        {"CIRCLE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "CIRCLE_KAFKA_SASL_MECHANISM": "PLAIN"},
    ],
    ids=["another authority", "wrong password", "another mechanism"],
)
def test_kafka_that_is_not_the_one_we_trust_or_that_does_not_know_us_is_told(
    secured: Secured, changes: dict[str, str]
) -> None:
    changed = in_directory(secured, changes)
    with pytest.raises(AccessRefused, match=r"Kafka as api at .* refuses us") as caught:
        ask_for_brokers(secured.settings(Process.API, **changed), 10)
    assert "wrong-0815" not in str(caught.value)
    assert secured.passwords[Process.API] not in str(caught.value)


def with_a_certificate(secured: Secured, who: str, *, other: bool = False, **changes: str) -> Settings:
    """The settings of a process that shows a certificate of ours, or of the other authority."""
    certificate, key = secured.authority.client(who, other=other)
    mutual = {
        "CIRCLE_KAFKA_BOOTSTRAP_SERVERS": secured.kafka.certified,
        "CIRCLE_KAFKA_SECURITY_PROTOCOL": "SSL",
        "CIRCLE_KAFKA_CERT_FILE": str(certificate),
        "CIRCLE_KAFKA_KEY_FILE": str(key),
    }
    env = {name: value for name, value in secured.env(who).items() if not name.startswith("CIRCLE_KAFKA_SASL")}
    return settings_from_env({**env, **mutual, **changes})


def with_tokens(secured: Secured, who: str, **changes: str) -> Settings:
    """The settings of a process that asks for tokens."""
    oauth = {
        "CIRCLE_KAFKA_BOOTSTRAP_SERVERS": secured.kafka.token,
        "CIRCLE_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
        "CIRCLE_KAFKA_OAUTH_TOKEN_URL": secured.tokens.url,
        "CIRCLE_KAFKA_OAUTH_CLIENT_ID": who,
        "CIRCLE_KAFKA_OAUTH_CLIENT_SECRET": secured.passwords[who],
    }
    return secured.settings(who, **{**oauth, **changes})


@pytest.mark.parametrize("how", [with_a_certificate, with_tokens])
def test_a_process_known_by_a_certificate_or_a_token_has_its_own_rights(
    secured: Secured, how: Callable[..., Settings]
) -> None:
    assert written(how(secured, Process.PAYMENTS), COMMANDS) is None
    refused = written(how(secured, Process.PAYMENTS), FACTS)
    assert refused is not None
    assert refused.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert written(how(secured, Process.RESERVATIONS), FACTS) is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"CIRCLE_KAFKA_CA_FILE": "other-ca.pem"}, "certificate verify failed"),
        ({"other": True}, "bad certificate"),
        ({"CIRCLE_KAFKA_CERT_FILE": "", "CIRCLE_KAFKA_KEY_FILE": ""}, "bad certificate"),  # as Java calls none
    ],
    ids=["another authority signed theirs", "another authority signed ours", "no certificate"],
)
def test_brokers_that_ask_for_a_certificate_refuse_by_name(
    secured: Secured, changes: dict[str, Any], told: str
) -> None:
    settings = with_a_certificate(secured, Process.API, **in_directory(secured, changes))
    with pytest.raises(AccessRefused, match=rf"Kafka at .* refuses us: .*{told}.*CIRCLE_KAFKA_CERT_FILE"):
        ask_for_brokers(settings, 10)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"CIRCLE_KAFKA_CA_FILE": "other-ca.pem"}, "."),
        ({"CIRCLE_KAFKA_OAUTH_CLIENT_SECRET": "wrong-0815"}, "invalid_client"),
    ],
    ids=["another authority", "wrong secret"],
)
def test_a_token_server_that_is_not_ours_or_does_not_know_us_is_told(
    secured: Secured, changes: dict[str, Any], told: str
) -> None:
    settings = with_tokens(secured, Process.API, **in_directory(secured, changes))
    before = len(secured.tokens.asked)
    with pytest.raises(AccessRefused, match=rf"(?s)refuses us: .*{told}.*CIRCLE_KAFKA_OAUTH_") as caught:
        ask_for_brokers(settings, 10)
    assert not any(secret in str(caught.value) for secret in settings.secrets)
    assert (len(secured.tokens.asked) > before) == ("CIRCLE_KAFKA_CA_FILE" not in changes), "no secret without trust"


def test_a_token_that_another_key_has_signed_is_refused(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secured.tokens, "signed_by_another", True)
    with pytest.raises(AccessRefused, match="refuses us"):
        ask_for_brokers(with_tokens(secured, Process.API), 10)


def in_directory(secured: Secured, changes: dict[str, Any]) -> dict[str, Any]:
    """Names of PEM files as paths."""
    return {name: str(secured.directory / v) if str(v).endswith(".pem") else v for name, v in changes.items()}


def written(settings: Settings, topic: str) -> KafkaError | None:
    """The broker's error for an unreadable record; None when the broker has taken it."""
    said: list[KafkaError | None] = []
    client = producer(settings)
    client.produce(topic, b"garbage", b"e", 0, on_delivery=lambda error, _: said.append(error))
    assert client.flush(20) == 0
    (one,) = said
    return one


async def test_postgresql_under_another_authority_or_password_is_refused(secured: Secured) -> None:
    url = secured.settings(Process.API).postgres_url
    for wrong, told in (
        (url.replace("/ca.pem", "/other-ca.pem"), "certificate verify failed"),
        (url.replace("circle_api:", "circle_api:x"), "password authentication failed"),
    ):
        with pytest.raises(AccessRefused, match=told) as caught:
            await connect(wrong)
        assert not any(secret in str(caught.value) for secret in secured.settings(Process.API).secrets)
    connection = await connect(url)
    await connection.close()


def test_redis_under_another_authority_or_without_a_password_is_refused(secured: Secured) -> None:
    url = secured.settings(Process.API).redis_url
    for wrong, told in (
        (url.replace("/ca.pem", "/other-ca.pem").replace("%2Fca.pem", "%2Fother-ca.pem"), "certificate verify failed"),
        (url.replace("circle_api:", "circle_api:x"), "invalid username-password pair"),
    ):
        with redis_clients.connect(wrong) as client, pytest.raises(redis.ConnectionError, match=told):
            client.ping()
    with redis_clients.connect(url) as client:
        assert client.ping()


def look_from_the_console(shop: Shop) -> None:
    """What an operator asks of the API: the records of each topic, the dead letters, and one of them sent back."""
    for topic in (COMMANDS, FACTS, NOTIFICATIONS):
        found = shop.http.get(f"/v1/operator/topics/{topic}/records", headers=shop.operator)
        assert found.status_code == 200, found.text
    found = shop.http.get("/v1/operator/dead-letters", headers=shop.operator)
    assert found.status_code == 200, found.text
    letter = next(one for one in found.json()["items"] if one["origin_topic"] == COMMANDS)
    path = f"/v1/operator/dead-letters/{COMMANDS}/{letter['offset']}"
    sent = shop.http.post(f"{path}/redrive", headers=shop.operator, json={})
    assert sent.status_code == 200, sent.text


def send_facts_back(secured: Secured, shop: Shop) -> None:
    """Facts that a branch and payments had set aside go back by the API, which writes none, under its own rights."""
    superuser = secured.settings(SUPERUSER)
    wanted: dict[str, Message] = {}
    for record in everything(superuser, FACTS):
        found = Codec().decode(record.value())
        if isinstance(found, RecordedFact):
            wanted[type(found.fact).__name__] = record
    aside = DeadLetters(superuser)
    aside.put(wanted["TicketsHeld"], "notifications: KeyError: sent back", by="notifications")
    aside.put(wanted["PaymentRequested"], "payment provider: sent back")
    aside.flush()

    def ours() -> list[dict[str, Any]]:
        found = shop.http.get("/v1/operator/dead-letters", headers=shop.operator)
        assert found.status_code == 200, found.text
        return [one for one in found.json()["items"] if one["error"].endswith("sent back")]

    assert [one["applied_by"] for one in ours()] == ["payments", "notifications"]
    for letter in ours():
        path = f"/v1/operator/dead-letters/{FACTS}/{letter['offset']}/redrive"
        sent = shop.http.post(path, headers=shop.operator, json={})
        assert sent.status_code == 200, sent.text
    eventually(lambda: all((one["redrive"] or {}).get("state") == "applied" for one in ours()), "both are applied")


def put_garbage(secured: Secured, *, readers_of_facts: int) -> None:
    """An unreadable record on each topic: its readers set it aside, each under its own principal."""
    settings = secured.settings(Process.OPERATOR)
    client = producer(settings)
    more = {COMMANDS: 1, FACTS: readers_of_facts}
    wanted = {topic: len(letters(settings, (topic,))) + number for topic, number in more.items()}
    for topic, key in ((COMMANDS, b"e"), (FACTS, b"e")):
        client.produce(topic, b"garbage", key, 0)
    assert client.flush(10) == 0
    for topic, count in wanted.items():
        problem = wait_for(lambda: len(letters(settings, (topic,))) >= count, timeout_s=60)  # noqa: B023
        assert problem is None, (topic, problem)


def take_away(secured: Secured, rights: Sequence[Right]) -> None:
    """Delete the rights that `apply` has given. The broker answers when this has taken effect."""
    filters = [filter_of(one) for one in bindings(rights)]
    client = admin(secured.settings(SUPERUSER))
    for future in client.delete_acls(filters, request_timeout=10).values():
        assert future.result(timeout=10)


def filter_of(one: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        one.restype,
        one.name,
        one.resource_pattern_type,
        one.principal,
        one.host,
        one.operation,
        one.permission_type,
    )
