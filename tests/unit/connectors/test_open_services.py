"""Production refuses open services (in clear, without credentials, readable by others), and names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.errors import SettingsError
from pipelines.configuration import settings_from_env
from tests.unit.connectors.conftest import PASSWORD


@pytest.fixture
def closed(production: dict[str, str]) -> dict[str, str]:
    """Production with each service, all of them closed and on other machines."""
    return production | {
        "CIRCLE_SCHEMA_REGISTRY_URL": f"https://circle:{PASSWORD}@registry:8081",
        "CIRCLE_SMTP_URL": f"smtp://circle:{PASSWORD}@mail:587",
        "CIRCLE_MAIL_FROM": "Tickets <t@example.org>",
        "CIRCLE_PUBLIC_URL": "https://tickets.example.org",
    }


def without_sasl(given: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if "SASL" not in name}


def test_what_is_closed_starts(closed: dict[str, str]) -> None:
    assert settings_from_env(closed).production


@pytest.mark.parametrize(
    ("name", "variable", "value"),
    [
        ("postgres", "POSTGRES_URL", "postgresql://circle:{}@db/circle"),
        ("postgres", "POSTGRES_URL", "postgresql://circle:{}@db/circle?sslmode=disable"),
        ("postgres", "POSTGRES_URL", "postgresql://circle:{}@db/circle?sslmode=allow"),
        ("postgres", "POSTGRES_URL", "postgresql://circle:{}@db/circle?sslmode=prefer"),
        ("postgres", "POSTGRES_URL", "postgresql://circle:{}@db/circle?sslmode=verify-full&sslmode=disable"),
        ("postgres", "POSTGRES_URL", "postgresql://circle:{}@10.0.0.7/circle"),
        ("postgres", "POSTGRES_URL", "postgresql://circle:{}@127.0.0.1,db/circle"),
        ("postgres", "POSTGRES_URL", "postgresql://circle:{}@/circle?host=db"),
        ("postgres", "POSTGRES_URL", "postgresql://circle@db/circle?sslmode=require"),
        ("redis", "REDIS_URL", "redis://:{}@redis:6379/0"),
        ("redis", "REDIS_URL", "redis://:{}@[2001:db8::7]:6379/0"),
        ("redis", "REDIS_URL", "rediss://redis:6379/0"),
        ("redis", "REDIS_URL", "rediss://user@redis:6379/0"),
        ("redis", "REDIS_URL", "rediss://:{}@redis:6379/0?ssl_cert_reqs=none"),
        ("registry", "SCHEMA_REGISTRY_URL", "http://circle:{}@registry:8081"),
        ("registry", "SCHEMA_REGISTRY_URL", "https://registry:8081"),
        ("smtp", "SMTP_URL", "smtp://mail"),
        ("smtp", "SMTP_URL", "smtps://mail"),
    ],
)
def test_a_service_beyond_loopback_in_clear_or_open_is_refused_unless_it_is_named(
    closed: dict[str, str], name: str, variable: str, value: str
) -> None:
    opened = closed | {f"CIRCLE_{variable}": value.format(PASSWORD)}
    with pytest.raises(SettingsError) as caught:
        settings_from_env(opened)
    text = str(caught.value)
    assert text.startswith(f"CIRCLE_{variable}: ")
    assert f"CIRCLE_ALLOW_INSECURE={name}" in text
    assert "; got '" in text
    assert f"example: CIRCLE_{variable}=" in text
    assert PASSWORD not in text
    assert settings_from_env(opened | {"CIRCLE_ALLOW_INSECURE": f"{name}"}).production
    others = ",".join({"kafka", "postgres", "redis", "registry", "smtp", "files"} - {name})
    with pytest.raises(SettingsError, match=f"CIRCLE_{variable}: "):
        settings_from_env(opened | {"CIRCLE_ALLOW_INSECURE": others})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("POSTGRES_URL", "postgresql://circle:{}@127.0.0.1/circle"),
        ("POSTGRES_URL", "postgresql://circle:{}@[::1]:5432/circle?sslmode=disable"),
        ("POSTGRES_URL", "postgresql://circle:{}@localhost/circle"),
        ("POSTGRES_URL", "postgresql://circle@/circle?host=/run/postgresql"),
        ("POSTGRES_URL", "postgresql://circle:{}@db/circle?sslmode=require"),
        ("POSTGRES_URL", "postgresql://circle:{}@db/circle?sslmode=verify-ca"),
        ("POSTGRES_URL", "postgresql://circle@db/circle?sslmode=verify-full&sslcert=/c.pem&sslkey=/k.pem"),
        ("REDIS_URL", "redis://127.0.0.1:6379/0"),
        ("REDIS_URL", "redis://127.3.2.1:6379/0"),
        ("REDIS_URL", "unix:///run/redis.sock"),
        ("REDIS_URL", "rediss://user:{}@redis:6379/0"),
        ("SCHEMA_REGISTRY_URL", "http://127.0.0.1:8081"),
        ("SMTP_URL", "smtp://127.0.0.1:25"),
        ("SMTP_URL", "smtps://circle:{}@mail"),
    ],
)
def test_loopback_sockets_and_what_is_closed_are_let_through(closed: dict[str, str], variable: str, value: str) -> None:
    assert settings_from_env(closed | {f"CIRCLE_{variable}": value.format(PASSWORD)}).production


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT", "SSL"])
@pytest.mark.parametrize("servers", ["kafka-1:9092", "127.0.0.1:9092,kafka-2:9092", "[2001:db8::1]:9092"])
def test_kafka_wants_tls_and_credentials(closed: dict[str, str], protocol: str, servers: str) -> None:
    base = closed if protocol.startswith("SASL") else without_sasl(closed)
    opened = base | {"CIRCLE_KAFKA_SECURITY_PROTOCOL": protocol, "CIRCLE_KAFKA_BOOTSTRAP_SERVERS": servers}
    with pytest.raises(SettingsError, match=r"CIRCLE_KAFKA_SECURITY_PROTOCOL: .*CIRCLE_ALLOW_INSECURE=kafka"):
        settings_from_env(opened)
    assert settings_from_env(opened | {"CIRCLE_ALLOW_INSECURE": "redis, KAFKA"}).production
    here = opened | {"CIRCLE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092,[::1]:9093,localhost:9094"}
    assert settings_from_env(here).production


def test_a_clients_certificate_is_a_credential(closed: dict[str, str], tmp_path: Path) -> None:
    for name in ("cert", "key"):
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(0o600)
    mutual = without_sasl(closed) | {
        "CIRCLE_KAFKA_SECURITY_PROTOCOL": "ssl",
        "CIRCLE_KAFKA_CERT_FILE": str(tmp_path / "cert"),
        "CIRCLE_KAFKA_KEY_FILE": str(tmp_path / "key"),
    }
    assert settings_from_env(mutual).production
    with pytest.raises(SettingsError, match="CIRCLE_KAFKA_KEY_FILE: is required"):
        settings_from_env({name: value for name, value in mutual.items() if not name.endswith("KAFKA_KEY_FILE")})


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
@pytest.mark.parametrize("which", ["JWT_KEY_FILE", "KAFKA_SASL_PASSWORD_FILE", "POSTGRES_URL"])
def test_a_secret_that_others_can_read_is_refused(
    closed: dict[str, str], tmp_path: Path, mode: int, which: str
) -> None:
    file = tmp_path / "secret"
    file.write_text("secret-0815")
    given = closed | {f"CIRCLE_{which}": str(file)}
    if which == "POSTGRES_URL":
        given[f"CIRCLE_{which}"] = f"postgresql://c@db/c?sslmode=verify-full&sslcert=/c.pem&sslkey={file}"
    if which == "KAFKA_SASL_PASSWORD_FILE":
        del given["CIRCLE_KAFKA_SASL_PASSWORD"]
    file.chmod(mode)
    with pytest.raises(SettingsError, match=f"CIRCLE_{which}: can be read by others .mode {mode:04o}.*chmod 600"):
        settings_from_env(given)
    assert settings_from_env(given | {"CIRCLE_ALLOW_INSECURE": "files"}).production
    assert settings_from_env(given | {"CIRCLE_ENV": "development"})
    file.chmod(0o400)
    assert settings_from_env(given).production


@pytest.mark.parametrize("key", ["sk_test_4eC39", "rk_test_4eC39"])
def test_stripes_keys_for_tests_are_refused(closed: dict[str, str], key: str) -> None:
    with pytest.raises(SettingsError, match="CIRCLE_STRIPE_API_KEY: is a key for tests") as caught:
        settings_from_env(closed | {"CIRCLE_STRIPE_API_KEY": key})
    assert "4eC39" not in str(caught.value)
    assert settings_from_env(closed | {"CIRCLE_STRIPE_API_KEY": key.replace("test", "live")}).production
    assert settings_from_env(closed | {"CIRCLE_STRIPE_API_KEY": key, "CIRCLE_ENV": "development"})


@pytest.mark.parametrize(("scale", "taken"), [("0.5", True), ("10", True), ("10.1", False), ("1000", False)])
def test_rate_limits_cannot_be_scaled_away(closed: dict[str, str], scale: str, taken: bool) -> None:
    given = closed | {"CIRCLE_RATE_LIMIT_SCALE": scale}
    if taken:
        assert settings_from_env(given).rate_limit_scale == float(scale)
        return
    with pytest.raises(SettingsError, match="CIRCLE_RATE_LIMIT_SCALE: takes the rate limits away"):
        settings_from_env(given)
    assert settings_from_env(given | {"CIRCLE_ENV": "development"}).rate_limit_scale == float(scale)


def test_an_unknown_name_is_not_passed_over(closed: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="CIRCLE_ALLOW_INSECURE: must be a list of kafka, postgres, redis"):
        settings_from_env(closed | {"CIRCLE_ALLOW_INSECURE": "kafka,everything"})


def test_a_token_for_kafka_is_not_asked_for_in_clear(closed: dict[str, str]) -> None:
    oauth = {name: value for name, value in closed.items() if "SASL_USER" not in name and "SASL_PASS" not in name} | {
        "CIRCLE_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
        "CIRCLE_KAFKA_OAUTH_TOKEN_URL": "http://id/token",
        "CIRCLE_KAFKA_OAUTH_CLIENT_ID": "circle",
        "CIRCLE_KAFKA_OAUTH_CLIENT_SECRET": PASSWORD,
    }
    with pytest.raises(SettingsError, match="CIRCLE_KAFKA_OAUTH_TOKEN_URL: would send the client's secret in clear"):
        settings_from_env(oauth)
    assert settings_from_env(oauth | {"CIRCLE_KAFKA_OAUTH_TOKEN_URL": "https://id/token"}).production
