"""Clients are made in one place each, from the settings, and reveal no secret."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from connectors import logs
from connectors.errors import SettingsError
from connectors.kafka_clients import connection, new_admin, right_missing
from connectors.settings import KafkaProtocol, SaslMechanism, Settings
from connectors.urls import with_authority, without_password
from pipelines.configuration import settings_from_env

ROOT = Path(__file__).parents[3]
MADE_HERE = {
    r"\b(AdminClient|(?<!\.)Producer|Consumer)\(": {"connectors/kafka_clients.py"},
    r"\bRedis\.from_url\(|\bredis\.Redis\(|\bConnectionPool\b.*\(": {"connectors/redis_clients.py"},
    r"\basyncpg\.(connect|create_pool)\(|\bpsycopg": {"connectors/postgres.py"},
    r"\bSMTP(_SSL)?\(|\b(aio)?smtplib\.(SMTP|send)\b": {"pipelines/notifications/mail/transport.py"},
    r"\bhttpx\.Client\(": {  # the benches ask our own API
        "connectors/schema_registry.py",
        "ops/proof/bench/queues.py",
        "ops/proof/bench/watching.py",
    },
}
SASL = {
    "kafka_security_protocol": KafkaProtocol.SASL_SSL,
    "kafka_sasl_username": "me",
    "kafka_sasl_password": "p-0815-x",
}


@pytest.mark.parametrize("made", MADE_HERE)
def test_no_other_module_makes_a_client(made: str) -> None:
    found = {
        str(path.relative_to(ROOT))
        for top in ("api", "connectors", "ops", "pipelines", "schemas", "sinks")
        for path in (ROOT / top).rglob("*.py")
        if any(re.search(made, line.partition("#")[0]) for line in path.read_text().splitlines())
    }
    assert found == MADE_HERE[made]


def test_a_plain_broker_gets_no_credentials() -> None:
    assert connection(Settings()) == {"bootstrap.servers": "127.0.0.1:9092", "security.protocol": "PLAINTEXT"}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_passwords_reach_the_client(mechanism: str) -> None:
    config = connection(Settings(kafka_sasl_mechanism=SaslMechanism(mechanism), **SASL))  # type: ignore[arg-type]
    assert (config["security.protocol"], config["sasl.mechanisms"]) == ("SASL_SSL", mechanism)
    assert (config["sasl.username"], config["sasl.password"]) == ("me", "p-0815-x")


def test_a_token_is_asked_for_where_the_settings_say() -> None:
    env = {
        "CIRCLE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "CIRCLE_KAFKA_SASL_MECHANISM": "oauthbearer",
        "CIRCLE_KAFKA_OAUTH_TOKEN_URL": "https://id.example.org/token",
        "CIRCLE_KAFKA_OAUTH_CLIENT_ID": "circle",
        "CIRCLE_KAFKA_OAUTH_CLIENT_SECRET": "s3cret-0815",
        "CIRCLE_KAFKA_OAUTH_SCOPE": "kafka",
    }
    settings = settings_from_env(env)
    config = connection(settings)
    assert config["sasl.oauthbearer.method"] == "oidc"
    assert config["sasl.oauthbearer.token.endpoint.url"] == "https://id.example.org/token"
    assert (config["sasl.oauthbearer.client.id"], config["sasl.oauthbearer.scope"]) == ("circle", "kafka")
    assert "s3cret-0815" not in repr(settings)
    new_admin(settings)  # our version of the library accepts all of it


@pytest.mark.parametrize(
    ("given", "variable"),
    [
        ({"SECURITY_PROTOCOL": "SASL_SSL"}, "SASL_MECHANISM"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "u"}, "SASL_PASSWORD"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN", "SASL_PASSWORD": "p"}, "SASL_USERNAME"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "OAUTHBEARER"}, "OAUTH_TOKEN_URL"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "GSSAPI"}, "SASL_MECHANISM"),
        ({"SECURITY_PROTOCOL": "TLS"}, "SECURITY_PROTOCOL"),
        ({"SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "u", "SASL_PASSWORD": "p"}, "SECURITY_PROTOCOL"),
        ({"CA_FILE": "here"}, "SECURITY_PROTOCOL"),
        ({"SECURITY_PROTOCOL": "SSL", "CA_FILE": "/no/such/file"}, "CA_FILE"),
    ],
)
def test_half_of_a_way_in_is_told(given: dict[str, str], variable: str, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-")
    env = {f"CIRCLE_KAFKA_{name}": str(tmp_path / "ca.pem") if v == "here" else v for name, v in given.items()}
    with pytest.raises(SettingsError, match=f"^CIRCLE_KAFKA_{variable}: "):
        settings_from_env(env)


def test_a_password_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from-a-file\n")
    base = {
        "CIRCLE_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "CIRCLE_KAFKA_SASL_MECHANISM": "PLAIN",
        "CIRCLE_KAFKA_SASL_USERNAME": "u",
        "CIRCLE_KAFKA_SASL_PASSWORD_FILE": str(file),
    }
    assert settings_from_env(base).kafka_sasl_password == "from-a-file"
    with pytest.raises(SettingsError, match="CIRCLE_KAFKA_SASL_PASSWORD is set as well"):
        settings_from_env(base | {"CIRCLE_KAFKA_SASL_PASSWORD": "x"})
    file.write_text("")
    with pytest.raises(SettingsError, match="CIRCLE_KAFKA_SASL_PASSWORD_FILE: is an empty file"):
        settings_from_env(base)
    with pytest.raises(SettingsError, match="CIRCLE_KAFKA_SASL_PASSWORD_FILE: cannot be read"):
        settings_from_env(base | {"CIRCLE_KAFKA_SASL_PASSWORD_FILE": str(tmp_path)})


@pytest.mark.parametrize("name", ["POSTGRES_URL", "REDIS_URL", "SCHEMA_REGISTRY_URL", "SMTP_URL", "STRIPE_API_KEY"])
def test_a_url_with_a_password_may_stand_in_a_file(name: str, tmp_path: Path) -> None:
    values = {
        "POSTGRES_URL": "postgresql://u:pass-0815@h/d",
        "REDIS_URL": "redis://:pass-0815@h/0",
        "SCHEMA_REGISTRY_URL": "https://u:pass-0815@h",
        "SMTP_URL": "smtps://u:pass-0815@h",
        "STRIPE_API_KEY": "sk_live_0815",
    }
    file = tmp_path / "secret"
    file.write_text(values[name])
    settings = settings_from_env({f"CIRCLE_{name}_FILE": str(file)})
    assert getattr(settings, name.lower()) == values[name]
    assert "0815" not in repr(settings)


def test_a_client_that_does_not_take_its_settings_tells_no_secret(tmp_path: Path) -> None:
    wrong = tmp_path / "ca.pem"
    wrong.write_text("no certificate p-0815-x")
    settings = Settings(kafka_sasl_mechanism=SaslMechanism.PLAIN, kafka_ca_file=wrong, **SASL)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="CIRCLE_KAFKA_") as caught:
        new_admin(settings)
    assert "p-0815-x" not in str(caught.value)


def test_every_right_that_is_missing_is_told_with_where_the_list_is() -> None:
    for code, kind in (
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "topic"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "group"),
        (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "transactional id"),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, "cluster"),
    ):
        text = str(right_missing(KafkaError(code), "x"))
        assert kind in text
        assert "circle topics acls" in text
    assert right_missing(KafkaError(KafkaError._TRANSPORT), "x") is None


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("postgresql://ada:pw@h/d", "postgresql://ada:…@h/d"),
        ("redis://:pw@h:1/0", "redis://:…@h:1/0"),
        ("postgresql://ada:p@w/1@h/d", "postgresql://ada:…@h/d"),
        ("postgres:/ada:pw@h/d", "postgres:/ada:…@h/d"),
        ("ada:pw@h", "ada:…@h"),
        ("redis://h/0?password=pw&db=1", "redis://h/0?password=…&db=1"),
        ("postgresql://h/d?sslpassword=pw", "postgresql://h/d?sslpassword=…"),
        ("http://token@h", "http://token@h"),
        ("127.0.0.1:9092,h:1", "127.0.0.1:9092,h:1"),
    ],
)
def test_a_url_is_shown_without_its_password(raw: str, shown: str) -> None:
    assert without_password(raw) == shown


def test_redis_is_verified_against_the_authority_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "an authority.pem"
    file.write_text("-")
    settings = settings_from_env({"CIRCLE_REDIS_URL": "rediss://h:1/0", "CIRCLE_REDIS_CA_FILE": str(file)})
    assert settings.redis_url.startswith("rediss://h:1/0?ssl_ca_certs=")
    assert with_authority("redis://h:1/0", file) == "redis://h:1/0"
    again = with_authority(settings.redis_url, Path("/other"))
    assert again == settings.redis_url


@pytest.mark.parametrize("form", ["keyvalue", "json"])
def test_no_secret_of_the_settings_is_in_a_log(form: str) -> None:
    env = {
        "CIRCLE_POSTGRES_URL": "postgresql://u:pass%2D0815@h/d",
        "CIRCLE_STRIPE_API_KEY": "sk_live_51Hx0815",
        "CIRCLE_LOG_FORMAT": form,
    }
    written = io.StringIO()
    logs.configure(settings_from_env(env), stream=written)
    logs.get("test").warning("x", error="postgresql://u:pass%2D0815@h/d said pass-0815, sk_live_51Hx0815")
    assert "0815" not in written.getvalue()
    assert "said" in written.getvalue()
