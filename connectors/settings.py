"""The one typed configuration, read once from `CIRCLE_*`. Every field of a `Settings` is checked.

Every error names the variable, its value, and an example. In production a missing or default secret stops the start. An
unknown `CIRCLE_` variable does so too: a misspelt name must not silently leave the default.
"""

import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import parseaddr
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from connectors.errors import SettingsError
from connectors.open_services import refuse_insecure
from connectors.urls import password_of, with_authority, without_password

PARTITIONS_DEFAULT = 8  # one event's order needs one partition; eight lets four workers on four cores balance
PARTITIONS_MAX = 1_024  # above this a single worker's fetch and load times are no longer bounded usefully
BATCH_PACE_MS_DEFAULT = 25  # a transaction costs as much for one record as for those of 25 ms
BATCH_PACE_RECORDS_DEFAULT = 200  # these already share its cost; more would only wait
BATCH_PACE_RECORDS_MAX = 2_000  # a batch has no more
FETCH_WAIT_MS_DEFAULT = 500  # Apache Kafka answers at once when a record comes; an idle reader asks twice a second
SESSION_TIMEOUT_MS_DEFAULT = 6_000  # a group join takes half of it on the embedded broker
RATE_LIMIT_SCALE_PRODUCTION_MAX = 10.0  # two guesses of a password a second; more is no limit any more
DEVELOPMENT_PASSWORDS = frozenset({"", "postgres", "circle", "password", "secret", "changeme"})
TEST_SWITCHES = frozenset({"no-fence", "no-dedupe", "no-lock"})
TOKEN_CHARS_MIN = 16  # a random token of this length cannot be guessed
TOKEN_CHARS_MAX = 256
LOG_LEVELS = frozenset({"debug", "info", "warning", "error"})

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class Environment(StrEnum):
    """Where the process runs. Production refuses every convenience of development."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class LogFormat(StrEnum):
    """One line per record either way."""

    KEYVALUE = "keyvalue"
    JSON = "json"


PROXIES_MAX = 10
SECRET_CHARS_MIN = 8  # a shorter secret may be a common word; its removal from texts would reveal it
SECRET_FILE_BYTES_MAX = 65_536


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


class PaymentsBy(StrEnum):
    """Who moves the money. The sandbox moves none."""

    SANDBOX = "sandbox"
    STRIPE = "stripe"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All configuration of a process. Secrets are kept out of `repr`."""

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
    env: Environment = Environment.DEVELOPMENT
    rate_limit_scale: float = 1.0
    trusted_proxies: int = 0
    instance: str = field(default_factory=lambda: default_instance())
    test_switches: frozenset[str] = frozenset()
    log_level: str = "info"
    log_format: LogFormat = LogFormat.KEYVALUE
    session_timeout_ms: int = SESSION_TIMEOUT_MS_DEFAULT
    kafka_fetch_wait_ms: int = FETCH_WAIT_MS_DEFAULT
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    payments: PaymentsBy = PaymentsBy.SANDBOX
    stripe_api_key: str | None = field(default=None, repr=False)
    stripe_webhook_secret: str | None = field(default=None, repr=False)
    stripe_api_url: str = "https://api.stripe.com"
    operator_token: str | None = field(default=None, repr=False)
    operator_port: int | None = None
    operator_host: str = "127.0.0.1"
    cors_origins: frozenset[str] = frozenset()
    smtp_url: str | None = field(default=None, repr=False)
    mail_from: str = "General Circle <tickets@circle.invalid>"
    public_url: str = "http://127.0.0.1:8000"

    @property
    def production(self) -> bool:
        return self.env is Environment.PRODUCTION

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "Settings":
        """Read and check every `CIRCLE_*` variable of `env` (default: the process's). Raises `SettingsError`."""
        source = _Source(os.environ if env is None else env)
        defaults = cls()
        settings = cls(
            kafka_bootstrap_servers=source.read(
                "KAFKA_BOOTSTRAP_SERVERS", _bootstrap, defaults.kafka_bootstrap_servers, "127.0.0.1:9092"
            ),
            postgres_url=source.read(
                "POSTGRES_URL",
                _url("postgresql", "postgres"),
                defaults.postgres_url,
                "postgresql://circle:…@db:5432/circle",
                secret_file=True,
            ),
            redis_url=source.read(
                "REDIS_URL",
                _url("redis", "rediss", "unix"),
                defaults.redis_url,
                "redis://127.0.0.1:6379/0",
                secret_file=True,
            ),
            schema_registry_url=source.read(
                "SCHEMA_REGISTRY_URL", _url("http", "https"), None, "http://127.0.0.1:8081", secret_file=True
            ),
            kafka_security_protocol=source.read(
                "KAFKA_SECURITY_PROTOCOL", _upper(KafkaProtocol), defaults.kafka_security_protocol, "SASL_SSL"
            ),
            kafka_sasl_mechanism=source.read("KAFKA_SASL_MECHANISM", _upper(SaslMechanism), None, "SCRAM-SHA-512"),
            kafka_sasl_username=source.read("KAFKA_SASL_USERNAME", str, None, "reservations"),
            kafka_sasl_password=source.secret("KAFKA_SASL_PASSWORD"),
            kafka_oauth_token_url=source.read(
                "KAFKA_OAUTH_TOKEN_URL", _url("http", "https"), None, "https://id.example.org/oauth2/token"
            ),
            kafka_oauth_client_id=source.read("KAFKA_OAUTH_CLIENT_ID", str, None, "reservations"),
            kafka_oauth_client_secret=source.secret("KAFKA_OAUTH_CLIENT_SECRET"),
            kafka_oauth_scope=source.read("KAFKA_OAUTH_SCOPE", str, None, "kafka"),
            kafka_ca_file=source.read("KAFKA_CA_FILE", _readable_file, None, "/etc/circle/kafka-ca.pem"),
            kafka_cert_file=source.read("KAFKA_CERT_FILE", _readable_file, None, "/etc/circle/kafka-cert.pem"),
            kafka_key_file=source.read("KAFKA_KEY_FILE", _readable_file, None, "/etc/circle/kafka-key.pem"),
            kafka_key_password=source.secret("KAFKA_KEY_PASSWORD"),
            redis_ca_file=source.read("REDIS_CA_FILE", _readable_file, None, "/etc/circle/redis-ca.pem"),
            schema_registry_ca_file=source.read(
                "SCHEMA_REGISTRY_CA_FILE", _readable_file, None, "/etc/circle/registry-ca.pem"
            ),
            smtp_ca_file=source.read("SMTP_CA_FILE", _readable_file, None, "/etc/circle/smtp-ca.pem"),
            allow_insecure=source.read("ALLOW_INSECURE", _insecure, frozenset(), "kafka,redis"),
            partitions=source.read(
                "PARTITIONS", _whole(1, PARTITIONS_MAX), defaults.partitions, str(PARTITIONS_DEFAULT)
            ),
            batch_pace_ms=source.read("BATCH_PACE_MS", _whole(0, 1_000), defaults.batch_pace_ms, "25"),
            batch_pace_records=source.read(
                "BATCH_PACE_RECORDS", _whole(1, BATCH_PACE_RECORDS_MAX), defaults.batch_pace_records, "200"
            ),
            jwt_key_file=source.read("JWT_KEY_FILE", _readable_file, None, "/etc/circle/jwt.pem"),
            env=source.read("ENV", Environment, defaults.env, "production"),
            rate_limit_scale=source.read("RATE_LIMIT_SCALE", _scale, defaults.rate_limit_scale, "1"),
            trusted_proxies=source.read("TRUSTED_PROXIES", _whole(0, PROXIES_MAX), defaults.trusted_proxies, "1"),
            instance=source.read("INSTANCE", _instance, defaults.instance, "api-1"),
            test_switches=source.read("TEST_SWITCHES", _switches, defaults.test_switches, "no-lock"),
            log_level=source.read("LOG_LEVEL", _one_of(LOG_LEVELS), defaults.log_level, "info"),
            log_format=source.read("LOG_FORMAT", LogFormat, defaults.log_format, "json"),
            session_timeout_ms=source.read(
                "SESSION_TIMEOUT_MS", _whole(1_000, 300_000), defaults.session_timeout_ms, "6000"
            ),
            kafka_fetch_wait_ms=source.read(
                "KAFKA_FETCH_WAIT_MS", _whole(1, 5_000), defaults.kafka_fetch_wait_ms, "500"
            ),
            metrics_port=source.read("METRICS_PORT", _whole(1, 65_535), None, "9100"),
            metrics_host=source.read("METRICS_HOST", str, defaults.metrics_host, "127.0.0.1"),
            payments=source.read("PAYMENTS", PaymentsBy, defaults.payments, "stripe"),
            stripe_api_key=source.read(
                "STRIPE_API_KEY", _secret("sk_", "rk_"), None, "sk_live_…", secret=True, secret_file=True
            ),
            stripe_webhook_secret=source.read(
                "STRIPE_WEBHOOK_SECRET", _secret("whsec_"), None, "whsec_…", secret=True, secret_file=True
            ),
            stripe_api_url=source.read(
                "STRIPE_API_URL", _url("http", "https"), defaults.stripe_api_url, "https://api.stripe.com"
            ),
            smtp_url=source.read("SMTP_URL", _smtp, None, "smtp://user:…@mail.example.org:587", secret_file=True),
            operator_token=source.read(
                "OPERATOR_TOKEN", _token, None, "a random one of 16 characters or more", secret=True, secret_file=True
            ),
            operator_port=source.read("OPERATOR_PORT", _whole(1, 65_535), None, "8001"),
            operator_host=source.read("OPERATOR_HOST", str, defaults.operator_host, "127.0.0.1"),
            cors_origins=source.read("CORS_ORIGINS", _origins, defaults.cors_origins, "https://tickets.example.org"),
            mail_from=source.read("MAIL_FROM", _mail_from, defaults.mail_from, "Tickets <tickets@example.org>"),
            public_url=source.read("PUBLIC_URL", _public_url, defaults.public_url, "https://tickets.example.org"),
        )
        _check_kafka(settings)
        _check_payments(settings)
        if settings.redis_ca_file is not None:
            settings = replace(settings, redis_url=with_authority(settings.redis_url, settings.redis_ca_file))
        if settings.production:
            source.refuse_unknown()
            _check_production(settings, source)
            refuse_insecure(settings, source.secret_files)
        return settings

    @property
    def secrets(self) -> frozenset[str]:
        """Every secret in these settings, as it is written and as it is decoded."""
        urls = (self.postgres_url, self.redis_url, self.schema_registry_url, self.smtp_url)
        found = {password_of(url) for url in urls if url is not None}
        found |= {self.kafka_sasl_password, self.kafka_oauth_client_secret, self.kafka_key_password}
        found |= {self.stripe_api_key, self.stripe_webhook_secret, self.operator_token}
        known = {one for one in found if one is not None and len(one) >= SECRET_CHARS_MIN}
        return frozenset(known | {unquote(one) for one in known})

    def redact(self, text: str) -> str:
        """The text without any secret of these settings."""
        for secret in self.secrets:
            text = text.replace(secret, "…")
        return text


def default_instance() -> str:
    """Host and process id: unique among the live processes of one cluster."""
    return f"{socket.gethostname().split('.')[0]}-{os.getpid()}"


# Variables of one command or of the supervisor; they are no fields of Settings.
FOREIGN_VARIABLES = frozenset({"CIRCLE_READY_FD", "CIRCLE_CACHE_DIR", "CIRCLE_GRAFANA_PASSWORD", "CIRCLE_URL"})


class _Source:
    """Takes variables out of an environment and remembers which ones were known."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._known = set(FOREIGN_VARIABLES)
        self.secret_files: dict[str, Path] = {}

    def read(
        self,
        name: str,
        parse: Callable[[str], T],
        default: T | None,
        example: str,
        *,
        secret: bool = False,
        secret_file: bool = False,
    ) -> T:
        variable = f"CIRCLE_{name}"
        self._known.add(variable)
        raw = self._env.get(variable, "").strip()
        if secret_file:
            raw = self._from_file(f"{variable}_FILE", variable, raw)
        if not raw:
            return default  # type: ignore[return-value]  # the field's own type says whether None is allowed
        try:
            return parse(raw)
        except ValueError as error:
            shown = "…" if secret else without_password(raw)
            raise SettingsError(variable, _problem(parse, error), got=shown, example=example) from None

    def secret(self, name: str) -> str | None:
        """A password, in the variable or in the file that `…_FILE` names."""
        found: str | None = self.read(name, str, None, "…", secret=True, secret_file=True)
        return found

    def given(self, name: str) -> bool:
        return any(self._env.get(f"CIRCLE_{name}{form}", "").strip() for form in ("", "_FILE"))

    def _from_file(self, variable: str, instead: str, raw: str) -> str:
        self._known.add(variable)
        path = self._env.get(variable, "").strip()
        if not path:
            return raw
        example = f"/run/secrets/{instead.lower()}"
        if raw:
            raise SettingsError(variable, f"names a file, and {instead} is set as well; unset one", got=path)
        try:
            with Path(path).open("rb") as file:
                found = file.read(SECRET_FILE_BYTES_MAX).decode().strip()
        except (OSError, ValueError) as error:
            raise SettingsError(variable, f"cannot be read: {error}", got=path, example=example) from None
        if not found:
            raise SettingsError(variable, "is an empty file", got=path, example=example)
        self.secret_files[variable] = Path(path)
        return found

    def refuse_unknown(self) -> None:
        for variable in sorted(self._env):
            if variable.startswith("CIRCLE_") and variable not in self._known:
                known = ", ".join(sorted(self._known - FOREIGN_VARIABLES))
                raise SettingsError(variable, f"is not a setting; the settings are {known}")


def _check_production(settings: Settings, source: _Source) -> None:
    for name, example in (
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka-1:9092,kafka-2:9092,kafka-3:9092"),
        ("POSTGRES_URL", "postgresql://circle:…@db:5432/circle"),
        ("REDIS_URL", "rediss://:…@redis:6379/0"),
        ("JWT_KEY_FILE", "/etc/circle/jwt.pem"),
    ):
        if not source.given(name):
            raise SettingsError(f"CIRCLE_{name}", "is required in production and not set", example=example)
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
    if settings.smtp_url is not None and not source.given("MAIL_FROM"):
        what, example = "is required in production with CIRCLE_SMTP_URL", "Tickets <tickets@example.org>"
        raise SettingsError("CIRCLE_MAIL_FROM", what, example=example)
    public = urlsplit(settings.public_url)
    in_clear = public.scheme != "https" and public.hostname not in ("127.0.0.1", "::1", "localhost")
    if settings.smtp_url is not None and (in_clear or not source.given("PUBLIC_URL")):
        what = "is where the links in mails lead; production wants it with CIRCLE_SMTP_URL, and https"
        raise SettingsError("CIRCLE_PUBLIC_URL", what, got=settings.public_url, example="https://tickets.example.org")
    if settings.test_switches:
        raise SettingsError(
            "CIRCLE_TEST_SWITCHES",
            "takes safety nets out for tests, which production refuses; unset it",
            got=",".join(sorted(settings.test_switches)),
        )


def _check_kafka(settings: Settings) -> None:
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


def _check_payments(settings: Settings) -> None:
    """Stripe needs its secrets and an encrypted address. Production needs a provider that moves money."""
    if settings.payments is PaymentsBy.SANDBOX:
        if settings.production:
            raise SettingsError(
                "CIRCLE_PAYMENTS",
                "is the sandbox, which moves no money and sells tickets for the word tok_ok; production refuses it",
                got=settings.payments.value,
                example="stripe",
            )
        return
    for name, given, example in (
        ("STRIPE_API_KEY", settings.stripe_api_key, "sk_live_…"),
        ("STRIPE_WEBHOOK_SECRET", settings.stripe_webhook_secret, "whsec_…"),
    ):
        if given is None:
            raise SettingsError(
                f"CIRCLE_{name}", "is required with CIRCLE_PAYMENTS=stripe and not set", example=example
            )
    if settings.production and settings.stripe_api_key is not None and "_test_" in settings.stripe_api_key:
        raise SettingsError(
            "CIRCLE_STRIPE_API_KEY",
            "is a key for tests, which moves no money; production refuses it",
            got=f"{settings.stripe_api_key.partition('_test_')[0]}_test_…",
            example="sk_live_…",
        )
    if settings.production and urlsplit(settings.stripe_api_url).scheme != "https":
        raise SettingsError(
            "CIRCLE_STRIPE_API_URL",
            "would carry the API key in clear, which production refuses",
            got=settings.stripe_api_url,
            example="https://api.stripe.com",
        )


def _problem(parse: Callable[[str], object], error: ValueError) -> str:
    if isinstance(parse, type) and issubclass(parse, StrEnum):
        return f"must be one of {', '.join(member.value for member in parse)}"
    return str(error)


def _bootstrap(raw: str) -> str:
    for address in raw.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65_536:
            raise ValueError("must be host:port, or several with commas between")
    return raw


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        parts = urlsplit(raw)
        if parts.scheme not in schemes or not (parts.hostname or parts.path):
            raise ValueError(f"must be a URL that starts with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return raw

    return parse


def _insecure(raw: str) -> frozenset[Insecure]:
    names = {part.strip().lower() for part in raw.split(",") if part.strip()}
    if not names <= set(Insecure):
        raise ValueError(f"must be a list of {', '.join(Insecure)}")
    return frozenset(map(Insecure, names))


def _secret(*prefixes: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if not raw.startswith(prefixes) or not raw.isascii() or not raw.isprintable() or " " in raw:
            raise ValueError(f"must begin with {' or '.join(prefixes)}")
        return raw

    return parse


def _token(raw: str) -> str:
    if not TOKEN_CHARS_MIN <= len(raw) <= TOKEN_CHARS_MAX or not raw.isascii() or not raw.isprintable() or " " in raw:
        raise ValueError(f"must be {TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX} printable ASCII characters without spaces")
    return raw


def _origins(raw: str) -> frozenset[str]:
    """Exact origins as browsers send them: scheme, host, and the port where it is not the scheme's own."""
    origins = frozenset(part.strip() for part in raw.split(",") if part.strip())
    for origin in origins:
        if re.fullmatch(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?", origin, re.ASCII) is None:
            raise ValueError("must be origins in small letters, with commas between: a scheme, a host, a port, no path")
        if origin.endswith(":443") if origin.startswith("https") else origin.endswith(":80"):
            raise ValueError("must be origins as browsers send them, without the port of the scheme")
    return origins


def _smtp(raw: str) -> str:
    """smtp:// (STARTTLS where offered, always with a password), smtps:// (TLS at once), file:// (a directory)."""
    parts = urlsplit(raw)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return raw
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("must be a URL that starts with smtp:// or smtps://, or file:// and an absolute path")
    parts.port  # noqa: B018 - raises ValueError when it is no port
    return raw


def _mail_from(raw: str) -> str:
    name, address = parseaddr(raw)
    if not re.fullmatch(r"[^@\s<>,;]+@[^@\s<>,;]+", address) or not raw.isprintable() or not name.isprintable():
        raise ValueError("must be a mail address, or a name and an address in angle brackets")
    return raw


def _public_url(raw: str) -> str:
    parts = urlsplit(raw)
    parts.port  # noqa: B018 - raises ValueError when it is no port
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in raw:
        raise ValueError("must be the URL at which people reach this platform, without query or fragment")
    if not raw.isascii() or not raw.isprintable() or " " in raw:
        raise ValueError("must be ASCII without spaces")
    return raw.rstrip("/")


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        if not raw.isascii() or not raw.isdigit() or not low <= int(raw) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(raw)

    return parse


def _scale(raw: str) -> float:
    try:
        scale = float(raw)
    except ValueError:
        scale = -1.0
    if not 0 <= scale <= 1_000:
        raise ValueError("must be a number from 0 (off) to 1000")
    return scale


def _readable_file(raw: str) -> Path:
    path = Path(raw)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ValueError("must be the path of a readable file")
    return path


def _instance(raw: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", raw):
        raise ValueError("must be 1 to 64 letters, digits, dots, dashes or underscores")
    return raw


def _switches(raw: str) -> frozenset[str]:
    switches = frozenset(part.strip() for part in raw.split(",") if part.strip())
    if not switches <= TEST_SWITCHES:
        raise ValueError(f"must be a list of {', '.join(sorted(TEST_SWITCHES))}")
    return switches


def _upper(kind: type[E]) -> Callable[[str], E]:
    def parse(raw: str) -> E:
        try:
            return kind(raw.upper())
        except ValueError:
            raise ValueError(f"must be one of {', '.join(member.value for member in kind)}") from None

    return parse


def _one_of(choices: frozenset[str]) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw.lower() not in choices:
            raise ValueError(f"must be one of {', '.join(sorted(choices))}")
        return raw.lower()

    return parse
