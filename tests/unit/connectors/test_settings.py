"""Settings: every variable is read, and every error names the variable, its value and an example."""

from pathlib import Path

import pytest

from connectors.errors import SettingsError
from connectors.settings import Environment, Settings
from pipelines.configuration import settings_from_env


def test_an_empty_environment_gives_development_defaults() -> None:
    settings = settings_from_env({})
    assert settings.env is Environment.DEVELOPMENT
    assert settings.partitions == 8
    assert settings.rate_limit_scale == 1
    assert settings.test_switches == frozenset()
    assert (settings.batch_pace_ms, settings.batch_pace_records) == (25, 200)
    assert settings.schema_registry_url is None
    assert settings.instance


def test_every_variable_is_read(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("key")
    settings = settings_from_env(
        {
            "CIRCLE_KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2",
            "CIRCLE_POSTGRES_URL": "postgresql://u@h:5/d",
            "CIRCLE_REDIS_URL": "redis://h:6/1",
            "CIRCLE_SCHEMA_REGISTRY_URL": "http://h:8081",
            "CIRCLE_PARTITIONS": "3",
            "CIRCLE_JWT_KEY_FILE": str(key),
            "CIRCLE_RATE_LIMIT_SCALE": "0",
            "CIRCLE_INSTANCE": "api-1",
            "CIRCLE_TEST_SWITCHES": "no-lock, no-fence",
            "CIRCLE_LOG_LEVEL": "DEBUG",
            "CIRCLE_LOG_FORMAT": "json",
            "CIRCLE_SESSION_TIMEOUT_MS": "1500",
            "CIRCLE_METRICS_PORT": "9100",
            "CIRCLE_METRICS_HOST": "0.0.0.0",
            "CIRCLE_PAYMENTS": "stripe",
            "CIRCLE_STRIPE_API_KEY": "rk_test_1",
            "CIRCLE_STRIPE_WEBHOOK_SECRET": "whsec_1",
            "CIRCLE_STRIPE_API_URL": "http://127.0.0.1:12111",
            "CIRCLE_SMTP_URL": "smtp://me:pw22@mail:587",
            "CIRCLE_MAIL_FROM": "Tickets <t@example.org>",
        }
    )
    assert (settings.smtp_url, settings.mail_from) == ("smtp://me:pw22@mail:587", "Tickets <t@example.org>")
    assert "pw22" not in repr(settings)
    assert (settings.kafka_bootstrap_servers, settings.partitions, settings.jwt_key_file) == ("a:1,b:2", 3, key)
    assert settings.test_switches == {"no-lock", "no-fence"}
    assert (settings.log_level, settings.log_format.value, settings.metrics_port) == ("debug", "json", 9100)
    assert (settings.payments, settings.stripe_api_key) == ("stripe", "rk_test_1")
    assert (settings.stripe_webhook_secret, settings.stripe_api_url) == ("whsec_1", "http://127.0.0.1:12111")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", "localhost"),
        ("KAFKA_BOOTSTRAP_SERVERS", "localhost:0"),
        ("POSTGRES_URL", "mysql://h/d"),
        ("REDIS_URL", "localhost:6379"),
        ("SCHEMA_REGISTRY_URL", "registry:8081"),
        ("PARTITIONS", "0"),
        ("PARTITIONS", "eight"),
        ("PARTITIONS", "²"),
        ("PARTITIONS", "1025"),
        ("JWT_KEY_FILE", "/no/such/key.pem"),
        ("ENV", "staging"),
        ("RATE_LIMIT_SCALE", "-1"),
        ("RATE_LIMIT_SCALE", "nan"),
        ("INSTANCE", "two words"),
        ("TEST_SWITCHES", "no-brakes"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("BATCH_PACE_MS", "1001"),
        ("BATCH_PACE_RECORDS", "0"),
        ("BATCH_PACE_RECORDS", "2001"),
        ("KAFKA_FETCH_WAIT_MS", "0"),
        ("SESSION_TIMEOUT_MS", "10"),
        ("METRICS_PORT", "70000"),
        ("PAYMENTS", "cash"),
        ("SMTP_URL", "mail:587"),
        ("SMTP_URL", "smtp://mail:high"),
        ("SMTP_URL", "file://not/absolute"),
        ("MAIL_FROM", "tickets"),
        ("MAIL_FROM", "tickets@"),
        ("PUBLIC_URL", "tickets.example.org"),
        ("PUBLIC_URL", "https://me@tickets.example.org"),
        ("PUBLIC_URL", "https://tickets.example.org/?a=b"),
        ("STRIPE_API_URL", "api.stripe.com"),
        ("OPERATOR_PORT", "0"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "tickets.example.org"),
        ("CORS_ORIGINS", "https://tickets.example.org/"),
        ("CORS_ORIGINS", "https://*.example.org"),
        ("CORS_ORIGINS", "https://Tickets.example.org"),
        ("CORS_ORIGINS", "https://tickets.example.org:443"),
        ("CORS_ORIGINS", "https://a.example,ftp://b.example"),
    ],
)
def test_an_error_names_the_variable_what_it_got_and_an_example(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from_env({f"CIRCLE_{name}": value})
    message = str(caught.value)
    assert message.startswith(f"CIRCLE_{name}: ")
    assert f"got {value!r}" in message
    assert f"example: CIRCLE_{name}=" in message
    assert caught.value.exit_code == 2


def test_a_password_is_neither_in_an_error_nor_in_the_repr() -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from_env({"CIRCLE_POSTGRES_URL": "mysql://ada:hunter22@h/d"})
    assert "hunter22" not in str(caught.value)
    assert "hunter22" not in repr(Settings(postgres_url="postgresql://ada:hunter22@h/d"))


def test_production_starts_with_everything_set(production: dict[str, str]) -> None:
    assert settings_from_env(production).production


@pytest.mark.parametrize("name", ["KAFKA_BOOTSTRAP_SERVERS", "POSTGRES_URL", "REDIS_URL", "JWT_KEY_FILE"])
def test_production_refuses_a_missing_secret(production: dict[str, str], name: str) -> None:
    del production[f"CIRCLE_{name}"]
    with pytest.raises(SettingsError, match=f"CIRCLE_{name}: is required in production"):
        settings_from_env(production)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTGRES_URL", "postgresql://circle:postgres@db/circle?sslmode=require"),
        ("POSTGRES_URL", "postgresql://circle:@127.0.0.1/circle"),
        ("POSTGRES_URL", "postgresql://circle:Chang%65me@127.0.0.1/circle"),
        ("POSTGRES_URL", "postgresql://circle@db/circle"),
        ("RATE_LIMIT_SCALE", "0"),
        ("TEST_SWITCHES", "no-fence"),
        ("KAFKA_BOOTSTRAP", "kafka:9092"),
        ("PAYMENTS", "sandbox"),
        ("PAYMENTS", ""),
        ("STRIPE_API_URL", "http://api.stripe.com"),
        ("SMTP_URL", "file:///tmp/mails"),
    ],
)
def test_production_refuses_defaults_switches_and_misspelt_names(
    production: dict[str, str], name: str, value: str
) -> None:
    with pytest.raises(SettingsError, match=f"CIRCLE_{name}: "):
        settings_from_env({**production, f"CIRCLE_{name}": value})


@pytest.mark.parametrize("name", ["STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"])
def test_stripe_needs_its_secrets_wherever_it_runs(production: dict[str, str], name: str) -> None:
    for environment in (production, production | {"CIRCLE_ENV": "development"}):
        without = {key: value for key, value in environment.items() if key != f"CIRCLE_{name}"}
        with pytest.raises(SettingsError, match=f"CIRCLE_{name}: is required with CIRCLE_PAYMENTS=stripe"):
            settings_from_env(without)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRIPE_API_KEY", "pk_live_public"),
        ("STRIPE_API_KEY", "sk_live_two words"),
        ("STRIPE_WEBHOOK_SECRET", "sk_live_51Hx"),
    ],
)
def test_a_secret_is_neither_in_an_error_nor_in_the_repr(production: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from_env({**production, f"CIRCLE_{name}": value})
    assert value not in str(caught.value)
    assert f"example: CIRCLE_{name}=" in str(caught.value)
    assert "sk_live_51Hx" not in repr(settings_from_env(production))
    assert "whsec_9d2k" not in repr(settings_from_env(production))


def test_production_wants_a_sender_for_its_mails(production: dict[str, str]) -> None:
    mailing = production | {"CIRCLE_SMTP_URL": "smtps://me:pw22@mail"}
    with pytest.raises(SettingsError, match="CIRCLE_MAIL_FROM: is required in production"):
        settings_from_env(mailing)
    mailing |= {"CIRCLE_MAIL_FROM": "Tickets <t@example.org>"}
    for public in ({}, {"CIRCLE_PUBLIC_URL": "http://tickets.example.org"}):
        with pytest.raises(SettingsError, match="CIRCLE_PUBLIC_URL: is where the links in mails lead"):
            settings_from_env(mailing | public)
    read = settings_from_env(mailing | {"CIRCLE_PUBLIC_URL": "https://tickets.example.org/"})
    assert (read.smtp_url, read.public_url) == ("smtps://me:pw22@mail", "https://tickets.example.org")


def test_origins_are_named_one_by_one() -> None:
    given = "https://a.example, http://127.0.0.1:3000,https://[::1]:8443"
    named = {"https://a.example", "http://127.0.0.1:3000", "https://[::1]:8443"}
    assert settings_from_env({"CIRCLE_CORS_ORIGINS": given}).cors_origins == named
    assert settings_from_env({}).cors_origins == frozenset()


def test_the_operators_token_is_given_or_in_a_file_and_never_shown(tmp_path: Path) -> None:
    token, file = "a-token-of-an-operator", tmp_path / "token"
    file.write_text(token + "\n")
    given = settings_from_env({"CIRCLE_OPERATOR_TOKEN": token, "CIRCLE_OPERATOR_PORT": "8001"})
    assert (given.operator_token, given.operator_port, given.operator_host) == (token, 8001, "127.0.0.1")
    assert token not in repr(given)
    assert settings_from_env({"CIRCLE_OPERATOR_TOKEN_FILE": str(file)}).operator_token == token
    with pytest.raises(SettingsError, match="CIRCLE_OPERATOR_TOKEN_FILE"):
        settings_from_env({"CIRCLE_OPERATOR_TOKEN": token, "CIRCLE_OPERATOR_TOKEN_FILE": str(file)})


@pytest.mark.parametrize("token", ["short", "fifteen-letters", "sixteen letters!", "ümlaut-in-a-token", "x" * 257])
def test_a_poor_operators_token_is_refused_without_being_shown(token: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(token)
    for variable, value in (("CIRCLE_OPERATOR_TOKEN", token), ("CIRCLE_OPERATOR_TOKEN_FILE", str(file))):
        with pytest.raises(SettingsError, match="CIRCLE_OPERATOR_TOKEN") as raised:
            settings_from_env({variable: value})
        assert token not in str(raised.value)
