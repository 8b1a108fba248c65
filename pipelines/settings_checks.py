"""Checks of settings that depend on each other, or on the environment. Each raises `SettingsError`."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import unquote, urlsplit

from connectors.errors import SettingsError
from connectors.settings import SaslMechanism, Settings
from connectors.urls import password_of, without_password

RATE_LIMIT_SCALE_PRODUCTION_MAX = 10.0  # two guesses of a password a second; more is no limit any more
DEVELOPMENT_PASSWORDS = frozenset({"", "postgres", "circle", "password", "secret", "changeme"})


def check_kafka(settings: Settings) -> None:
    """Check that SASL has all that its mechanism needs. A setting of another mechanism is an error, never ignored."""
    protocol, mechanism = settings.kafka_security_protocol, settings.kafka_sasl_mechanism
    if protocol.sasl and mechanism is None:
        what = f"is required with CIRCLE_KAFKA_SECURITY_PROTOCOL={protocol.value} and not set"
        raise SettingsError("CIRCLE_KAFKA_SASL_MECHANISM", what, example="SCRAM-SHA-512")
    if mechanism is not None and not protocol.sasl:
        raise SettingsError(
            "CIRCLE_KAFKA_SECURITY_PROTOCOL",
            f"does not use CIRCLE_KAFKA_SASL_MECHANISM={mechanism.value}, which is set",
            got=protocol.value,
            example="SASL_SSL",
        )
    needed: tuple[tuple[str, object, str], ...] = ()
    if mechanism is SaslMechanism.OAUTHBEARER:
        needed = (
            ("KAFKA_OAUTH_TOKEN_URL", settings.kafka_oauth_token_url, "https://id.example.org/oauth2/token"),
            ("KAFKA_OAUTH_CLIENT_ID", settings.kafka_oauth_client_id, "reservations"),
            ("KAFKA_OAUTH_CLIENT_SECRET", settings.kafka_oauth_client_secret, "…"),
        )
    elif mechanism is not None:
        needed = (
            ("KAFKA_SASL_USERNAME", settings.kafka_sasl_username, "reservations"),
            ("KAFKA_SASL_PASSWORD", settings.kafka_sasl_password, "…"),
        )
    if settings.kafka_cert_file is not None:
        needed += (("KAFKA_KEY_FILE", settings.kafka_key_file, "/etc/circle/kafka-key.pem"),)
    for name, value, example in needed:
        if value is None:
            what = "is required with the other CIRCLE_KAFKA_… settings and not set"
            raise SettingsError(f"CIRCLE_{name}", what, example=example)
    if not protocol.tls and settings.kafka_ca_file is not None:
        raise SettingsError(
            "CIRCLE_KAFKA_SECURITY_PROTOCOL",
            "does not use CIRCLE_KAFKA_CA_FILE, which is set: records and passwords would go in clear",
            got=protocol.value,
            example="SASL_SSL" if protocol.sasl else "SSL",
        )


def check_production(settings: Settings, given: Collection[str]) -> None:
    """Production refuses the conveniences of development. `given` are the fields that a variable sets."""
    password = password_of(settings.postgres_url)
    if password is not None and unquote(password).lower() in DEVELOPMENT_PASSWORDS:
        raise SettingsError(
            "CIRCLE_POSTGRES_URL",
            "has a default password, which production refuses",
            got=without_password(settings.postgres_url),
            example="postgresql://circle:…@db:5432/circle",
        )
    if settings.rate_limit_scale > RATE_LIMIT_SCALE_PRODUCTION_MAX:
        raise SettingsError(
            "CIRCLE_RATE_LIMIT_SCALE",
            f"takes the rate limits away, which production refuses above {RATE_LIMIT_SCALE_PRODUCTION_MAX:g}",
            got=f"{settings.rate_limit_scale:g}",
            example="1",
        )
    if settings.rate_limit_scale == 0:
        raise SettingsError(
            "CIRCLE_RATE_LIMIT_SCALE",
            "0 switches rate limits off, which production refuses",
            got="0",
            example="1",
        )
    if settings.smtp_url is not None and settings.smtp_url.startswith("file:"):
        raise SettingsError(
            "CIRCLE_SMTP_URL",
            "keeps mails in files instead of sending them, which production refuses",
            got=settings.smtp_url,
            example="smtp://user:…@mail.example.org:587",
        )
    if settings.smtp_url is not None and "mail_from" not in given:
        what, example = "is required in production with CIRCLE_SMTP_URL", "Tickets <tickets@example.org>"
        raise SettingsError("CIRCLE_MAIL_FROM", what, example=example)
    public = urlsplit(settings.public_url)
    in_clear = public.scheme != "https" and public.hostname not in ("127.0.0.1", "::1", "localhost")
    if settings.smtp_url is not None and (in_clear or "public_url" not in given):
        what = "is where the links in mails lead; production wants it with CIRCLE_SMTP_URL, and https"
        raise SettingsError("CIRCLE_PUBLIC_URL", what, got=settings.public_url, example="https://tickets.example.org")
    if settings.test_switches:
        raise SettingsError(
            "CIRCLE_TEST_SWITCHES",
            "takes safety nets out for tests, which production refuses; unset it",
            got=",".join(sorted(settings.test_switches)),
        )
