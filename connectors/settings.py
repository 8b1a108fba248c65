"""The typed configuration of a process, for its clients and servers, with the enums of its fields.

`pipelines.platform_settings` adds the fields of the platform. `connectors.environment` reads both from the environment.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote

from connectors.urls import password_of

PARTITIONS_DEFAULT = 8  # the order of one key needs one partition; eight lets four workers on four cores balance
BATCH_PACE_MS_DEFAULT = 25  # a transaction costs as much for one record as for those of 25 ms
BATCH_PACE_RECORDS_DEFAULT = 200  # these already share its cost; more would only wait
FETCH_WAIT_MS_DEFAULT = 500  # Apache Kafka answers at once when a record comes; an idle reader asks twice a second
ADMISSION_TARGET_MS_DEFAULT = 250  # ten batches; a caller waits gladly, and batches are full before it
SESSION_TIMEOUT_MS_DEFAULT = 6_000  # a group join takes half of it on the embedded broker
SECRET_CHARS_MIN = 8  # a shorter secret may be a common word; its removal from texts would reveal it
TEST_SWITCHES = frozenset({"no-fence", "no-dedupe", "no-lock"})


class Environment(StrEnum):
    """Where the process runs. Production refuses every convenience of development."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class LogFormat(StrEnum):
    """One line per record either way."""

    KEYVALUE = "keyvalue"
    JSON = "json"


class KafkaProtocol(StrEnum):
    """The protocol between us and the brokers."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def sasl(self) -> bool:
        return self.value.startswith("SASL_")

    @property
    def tls(self) -> bool:
        return self.value.endswith("SSL")


class SaslMechanism(StrEnum):
    """How we authenticate to brokers."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"
    OAUTHBEARER = "OAUTHBEARER"


class Insecure(StrEnum):
    """The services and files that production refuses when open, unless CIRCLE_ALLOW_INSECURE names them."""

    KAFKA = "kafka"
    POSTGRES = "postgres"
    REDIS = "redis"
    REGISTRY = "registry"
    SMTP = "smtp"
    FILES = "files"


def default_instance() -> str:
    """Host and process id: unique among the live processes of one cluster."""
    return f"{socket.gethostname().split('.')[0]}-{os.getpid()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The configuration of a process's clients. A field that is a secret, or a URL with one, is kept out of `repr`."""

    env: Environment = Environment.DEVELOPMENT
    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    postgres_url: str = field(default="postgresql://postgres@127.0.0.1:5432/circle", repr=False)
    redis_url: str = field(default="redis://127.0.0.1:6379/0", repr=False)
    schema_registry_url: str | None = field(default=None, repr=False)
    kafka_security_protocol: KafkaProtocol = KafkaProtocol.PLAINTEXT
    kafka_sasl_mechanism: SaslMechanism | None = None
    kafka_sasl_username: str | None = None
    kafka_sasl_password: str | None = field(default=None, repr=False)
    kafka_oauth_token_url: str | None = None
    kafka_oauth_client_id: str | None = None
    kafka_oauth_client_secret: str | None = field(default=None, repr=False)
    kafka_oauth_scope: str | None = None
    kafka_ca_file: Path | None = None
    kafka_cert_file: Path | None = None
    kafka_key_file: Path | None = None
    kafka_key_password: str | None = field(default=None, repr=False)
    redis_ca_file: Path | None = None
    schema_registry_ca_file: Path | None = None
    smtp_ca_file: Path | None = None
    allow_insecure: frozenset[Insecure] = frozenset()
    partitions: int = PARTITIONS_DEFAULT
    batch_pace_ms: int = BATCH_PACE_MS_DEFAULT
    batch_pace_records: int = BATCH_PACE_RECORDS_DEFAULT
    jwt_key_file: Path | None = None
    trusted_proxies: int = 0
    rate_limit_scale: float = 1.0
    admission_target_ms: int = ADMISSION_TARGET_MS_DEFAULT
    operator_token: str | None = field(default=None, repr=False)
    operator_port: int | None = None
    operator_host: str = "127.0.0.1"
    cors_origins: frozenset[str] = frozenset()
    instance: str = field(default_factory=default_instance)
    test_switches: frozenset[str] = frozenset()
    log_level: str = "info"
    log_format: LogFormat = LogFormat.KEYVALUE
    session_timeout_ms: int = SESSION_TIMEOUT_MS_DEFAULT
    kafka_fetch_wait_ms: int = FETCH_WAIT_MS_DEFAULT
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    alert_webhook_url: str | None = field(default=None, repr=False)
    watched_dir: Path | None = None
    export_notifications: bool = False
    smtp_url: str | None = field(default=None, repr=False)
    public_url: str = "http://127.0.0.1:8000"

    @property
    def production(self) -> bool:
        return self.env is Environment.PRODUCTION

    @property
    def secrets(self) -> frozenset[str]:
        """Every secret in these settings, as it is written and as it is decoded."""
        hidden = {one.name: getattr(self, one.name) for one in fields(self) if not one.repr}
        given = {name: value for name, value in hidden.items() if value is not None}
        values = {password_of(value) if name.endswith("_url") else value for name, value in given.items()}
        known = {one for one in values if one is not None and len(one) >= SECRET_CHARS_MIN}
        return frozenset(known | {unquote(one) for one in known})

    def redact(self, text: str) -> str:
        """The text without any secret of these settings."""
        for secret in self.secrets:
            text = text.replace(secret, "…")
        return text
