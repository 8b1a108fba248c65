"""The table of the `CIRCLE_*` variables. `pipelines.configuration` reads them; `ops.reference` writes their page."""

from __future__ import annotations

from collections.abc import Mapping

from connectors import setting_values as values
from connectors.environment import Variable
from connectors.settings import Environment, Insecure, KafkaProtocol, LogFormat, SaslMechanism
from pipelines.platform_settings import PaymentsBy
from pipelines.settings_checks import RATE_LIMIT_SCALE_PRODUCTION_MAX

PARTITIONS_MAX = 1_024  # above this a single worker's fetch and load times are no longer bounded usefully
BATCH_PACE_MS_MAX = 1_000  # a buyer waits for the answer meanwhile
BATCH_PACE_RECORDS_MAX = 2_000  # a batch has no more
FETCH_WAIT_MS_MAX = 5_000  # a stop waits for the end of the request
PROXIES_MAX = 10
ADMISSION_TARGET_MS_MAX = 10_000  # beyond it clients have gone away
SESSION_TIMEOUT_MS_MIN = 1_000  # below this a worker's short pause counts as its death
SESSION_TIMEOUT_MS_MAX = 300_000  # a dead worker's partitions wait this long for another one
PORT_MAX = 65_535
LOG_LEVELS = frozenset({"debug", "info", "warning", "error"})


VARIABLES: tuple[Variable, ...] = (
    Variable(
        field="env",
        parse=values.member(Environment),
        example="production",
        meaning="`development` or `production`",
    ),
    Variable(
        field="kafka_bootstrap_servers",
        parse=values.bootstrap_servers,
        example="127.0.0.1:9092",
        meaning="The brokers: `host:port`, several with commas between",
        required="kafka-1:9092,kafka-2:9092,kafka-3:9092",
    ),
    Variable(
        field="postgres_url",
        parse=values.url("postgresql", "postgres"),
        example="postgresql://circle:…@db:5432/circle",
        meaning="The database. `?sslmode=verify-full&sslrootcert=FILE` is TLS",
        file=True,
        required="postgresql://circle:…@db:5432/circle",
        production="refuses default passwords",
    ),
    Variable(
        field="redis_url",
        parse=values.url("redis", "rediss", "unix"),
        example="redis://127.0.0.1:6379/0",
        meaning="`redis://`, `rediss://` or `unix://`; Redis needs `maxmemory-policy noeviction`",
        file=True,
        required="rediss://:…@redis:6379/0",
    ),
    Variable(
        field="schema_registry_url",
        parse=values.url("http", "https"),
        example="http://127.0.0.1:8081",
        meaning="`http://` or `https://`, with `user:password@` if the registry asks for one. Schema ids come from it; "
        "without a registry, from the manifest",
        file=True,
    ),
    Variable(
        field="kafka_security_protocol",
        parse=values.member(KafkaProtocol, upper=True),
        example="SASL_SSL",
        meaning="`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`",
    ),
    Variable(
        field="kafka_sasl_mechanism",
        parse=values.member(SaslMechanism, upper=True),
        example="SCRAM-SHA-512",
        meaning="`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`. Required with a `SASL_…` protocol",
    ),
    Variable(
        field="kafka_sasl_username",
        parse=str,
        example="reservations",
        meaning="The user, for each mechanism except `OAUTHBEARER`",
    ),
    Variable(
        field="kafka_sasl_password",
        parse=str,
        example="…",
        meaning="The user's password",
        secret=True,
        file=True,
    ),
    Variable(
        field="kafka_oauth_token_url",
        parse=values.url("http", "https"),
        example="https://id.example.org/oauth2/token",
        meaning="For `OAUTHBEARER`: the address that gives tokens (OIDC, client credentials)",
    ),
    Variable(
        field="kafka_oauth_client_id",
        parse=str,
        example="reservations",
        meaning="For `OAUTHBEARER`: the client's id",
    ),
    Variable(
        field="kafka_oauth_client_secret",
        parse=str,
        example="…",
        meaning="For `OAUTHBEARER`: the client's secret",
        secret=True,
        file=True,
    ),
    Variable(
        field="kafka_oauth_scope",
        parse=str,
        example="kafka",
        meaning="For `OAUTHBEARER`: the scope, if the server wants one",
    ),
    Variable(
        field="kafka_ca_file",
        parse=values.readable_file,
        example="/etc/circle/kafka-ca.pem",
        meaning="PEM of the authority that signed the brokers' certificates; without it, the system's authorities",
    ),
    Variable(
        field="kafka_cert_file",
        parse=values.readable_file,
        example="/etc/circle/kafka-cert.pem",
        meaning="Our certificate, if the brokers ask for one",
    ),
    Variable(
        field="kafka_key_file",
        parse=values.readable_file,
        example="/etc/circle/kafka-key.pem",
        meaning="The certificate's key. Required with a certificate",
    ),
    Variable(
        field="kafka_key_password",
        parse=str,
        example="…",
        meaning="The key's password",
        secret=True,
        file=True,
    ),
    Variable(
        field="redis_ca_file",
        parse=values.readable_file,
        example="/etc/circle/redis-ca.pem",
        meaning="PEM of the authority for `rediss://`; without it, the system's authorities",
    ),
    Variable(
        field="schema_registry_ca_file",
        parse=values.readable_file,
        example="/etc/circle/registry-ca.pem",
        meaning="The same for the schema registry",
    ),
    Variable(
        field="smtp_ca_file",
        parse=values.readable_file,
        example="/etc/circle/smtp-ca.pem",
        meaning="The same for the mail server",
    ),
    Variable(
        field="allow_insecure",
        parse=values.insecure_names,
        example="kafka,redis",
        meaning="What production accepts although it is open, with commas between: "
        + ", ".join(f"`{one}`" for one in Insecure),
    ),
    Variable(
        field="partitions",
        parse=values.whole_number(1, PARTITIONS_MAX),
        example="8",
        meaning=f"Of `tickets.commands` and `tickets.facts`, 1 to {PARTITIONS_MAX}; fixed for the life of the topics. "
        "`circle up` without it takes that of existing topics, else one for each reservations process, 2 at least",
    ),
    Variable(
        field="batch_pace_ms",
        parse=values.whole_number(0, BATCH_PACE_MS_MAX),
        example="25",
        meaning=f"A dataflow takes a batch this many milliseconds after the last one, 0 to {BATCH_PACE_MS_MAX}, and "
        "twice as many at more than 2,000 records a second; a record that comes later is taken at once",
    ),
    Variable(
        field="batch_pace_records",
        parse=values.whole_number(1, BATCH_PACE_RECORDS_MAX),
        example="200",
        meaning=f"It takes a batch earlier when so many records wait, 1 to {BATCH_PACE_RECORDS_MAX}",
    ),
    Variable(
        field="jwt_key_file",
        parse=values.readable_file,
        example="/etc/circle/jwt.pem",
        meaning="PEM file of Ed25519 keys: the first signs, all verify. Without it a development process makes a key",
        required="/etc/circle/jwt.pem",
    ),
    Variable(
        field="trusted_proxies",
        parse=values.whole_number(0, PROXIES_MAX),
        example="1",
        meaning="The number of proxies in front of the API that add to `X-Forwarded-For`. Limits and logs then take "
        "the address that the outermost proxy saw, the n-th from the right. IPv6 counts by /64 and by /48. All texts "
        "that are no address share one bucket",
    ),
    Variable(
        field="rate_limit_scale",
        parse=values.scale,
        example="1",
        meaning="Multiplies all rate limits; 0 switches them off",
        production=f"refuses 0, and more than {RATE_LIMIT_SCALE_PRODUCTION_MAX:g}",
    ),
    Variable(
        field="admission_target_ms",
        parse=values.whole_number(0, ADMISSION_TARGET_MS_MAX),
        example="250",
        meaning="How many milliseconds a decision may take, from the request to its reply without the API's own time, "
        f"before the API refuses further commands of that partition, 0 to {ADMISSION_TARGET_MS_MAX}; 0 never refuses. "
        "See [decision 0045](../adr/0045-admission-by-measured-delay.md)",
    ),
    Variable(
        field="edge_refusals",
        parse=values.switch,
        example="off",
        meaning="`off` writes each request in a record of its own. `on` collects those for ticket types that are sold "
        "out, for 20 ms, and writes those of one event in one record",
    ),
    Variable(
        field="operator_token",
        parse=values.token,
        example="a random one of 16 characters or more",
        meaning="Its owner sees `/metrics`, `/dashboard` and the details of `/readyz`: as a bearer token, or as the "
        f"password of HTTP Basic. At least {values.TOKEN_CHARS_MIN} characters. `circle up` makes one for each start; "
        "without one, only admins and `CIRCLE_OPERATOR_PORT` do",
        secret=True,
        file=True,
    ),
    Variable(
        field="operator_port",
        parse=values.whole_number(1, PORT_MAX),
        example="8001",
        meaning="The API listens on this port too. Each caller on it is an operator, without a token. Keep it off the "
        "public network",
    ),
    Variable(
        field="operator_host",
        parse=str,
        example="127.0.0.1",
        meaning="The address of the operator's port",
    ),
    Variable(
        field="cors_origins",
        parse=values.origins,
        example="https://tickets.example.org",
        meaning="The origins whose pages may call the API from a browser, exactly, with commas between: "
        "`https://tickets.example.org`. See [the guide](../guide/integrator.md#browsers-on-another-origin)",
    ),
    Variable(
        field="instance",
        parse=values.instance,
        example="api-1",
        meaning="Unique among the live processes: part of the transactional id and of the reply channel",
        default="host and process id",
    ),
    Variable(
        field="test_switches",
        parse=values.switches,
        example="no-lock",
        meaning="`no-fence`, `no-dedupe`, `no-lock`: for negative controls in tests",
        production="refuses them",
    ),
    Variable(
        field="log_level",
        parse=values.one_of(LOG_LEVELS),
        example="info",
        meaning="`debug`, `info`, `warning` or `error`",
    ),
    Variable(
        field="log_format",
        parse=values.member(LogFormat),
        example="json",
        meaning="`keyvalue` or `json`",
    ),
    Variable(
        field="session_timeout_ms",
        parse=values.whole_number(SESSION_TIMEOUT_MS_MIN, SESSION_TIMEOUT_MS_MAX),
        example="6000",
        meaning=f"Of the consumer groups, {SESSION_TIMEOUT_MS_MIN} to {SESSION_TIMEOUT_MS_MAX}",
    ),
    Variable(
        field="kafka_fetch_wait_ms",
        parse=values.whole_number(1, FETCH_WAIT_MS_MAX),
        example="500",
        meaning=f"How long a broker holds the request of a member with nothing to read, 1 to {FETCH_WAIT_MS_MAX}. The "
        "embedded broker notices new records only at the end of that time, so `circle up` takes 25 with it",
    ),
    Variable(
        field="metrics_port",
        parse=values.whole_number(1, PORT_MAX),
        example="9100",
        meaning="The port of a dataflow's Prometheus metrics; without it, the dataflow serves none",
    ),
    Variable(
        field="metrics_host",
        parse=str,
        example="127.0.0.1",
        meaning="The address of the metrics' port",
    ),
    Variable(
        field="alert_webhook_url",
        parse=values.url("http", "https"),
        example="https://hooks.example.org/circle",
        meaning="Where monitoring reports alerts that fire and resolve, in the form of Prometheus' Alertmanager. "
        "Without it, alerts are only kept and shown",
        file=True,
    ),
    Variable(
        field="watched_dir",
        parse=values.directory,
        example="/var/lib",
        meaning="A directory whose disk monitoring watches, next to that of temporary files. `circle up` sets its "
        "data directory",
    ),
    Variable(
        field="export_notifications",
        parse=values.switch,
        example="on",
        meaning="`on` writes each message to the topic `notifications.outbound`, for other programs",
    ),
    Variable(
        field="smtp_url",
        parse=values.smtp_url,
        example="smtp://user:…@mail.example.org:587",
        meaning="The mail server: `smtp://` (STARTTLS where offered, always with a password), `smtps://`, or "
        "`file:///directory`. Without it no mail is sent, or made up for later",
        file=True,
        production="refuses `file://`",
    ),
    Variable(
        field="mail_from",
        parse=values.mail_from,
        example="Tickets <tickets@example.org>",
        meaning="The sender of mails",
        production="requires it with `CIRCLE_SMTP_URL`",
    ),
    Variable(
        field="public_url",
        parse=values.public_url,
        example="https://tickets.example.org",
        meaning="The address at which people reach the platform, and to which the links in mails lead. `circle up` "
        "sets its own",
        production="requires one with `https` with `CIRCLE_SMTP_URL`",
    ),
    Variable(
        field="payments",
        parse=values.member(PaymentsBy),
        example="stripe",
        meaning="`sandbox` (no money moves) or `stripe`. See [the guide](../guide/integrator.md#payments)",
        production="refuses the sandbox",
    ),
    Variable(
        field="stripe_api_key",
        parse=values.prefixed_secret("sk_", "rk_"),
        example="sk_live_…",
        meaning="`sk_…` or `rk_…`. Required with Stripe",
        secret=True,
        file=True,
        production="refuses a key for tests",
    ),
    Variable(
        field="stripe_webhook_secret",
        parse=values.prefixed_secret("whsec_"),
        example="whsec_…",
        meaning="`whsec_…`, of the endpoint `/v1/payments/stripe/webhook`. Required with Stripe",
        secret=True,
        file=True,
    ),
    Variable(
        field="stripe_api_url",
        parse=values.url("http", "https"),
        example="https://api.stripe.com",
        meaning="For Stripe's mock server",
        production="requires `https://`",
    ),
)

FOREIGN_VARIABLES: Mapping[str, str] = {
    "CIRCLE_CACHE_DIR": "the directory of Apache Kafka's jars; `.cache` by default",
    "CIRCLE_ENGINE_DIR": "the directory of the Docker engine that `make images` starts; in the user's cache by default",
    "CIRCLE_GRAFANA_PASSWORD": "the password of Grafana, for Docker",
    "CIRCLE_IMAGE": "the image of the platform's containers; `general-circle:dev` by default",
    "CIRCLE_IMAGES": "what stands before the names of all other images; nothing by default, which is the hub",
    "CIRCLE_URL": "the API's address, in what `circle env` prints",
    "CIRCLE_READY_FD": "set by the supervisor for its children",
}
"""Variables of one command or of the supervisor, which are no fields of Settings, with their meaning."""
