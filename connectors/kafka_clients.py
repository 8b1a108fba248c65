"""The one place that makes Kafka clients: addresses, TLS, credentials, and clear errors when brokers refuse them.

Guarantee: no error from here contains a secret. Brokers' certificates are always verified.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from connectors.errors import AccessRefused, CircleError, ServiceUnreachable, SettingsError
from connectors.logs import SeldomAgain
from connectors.settings import SaslMechanism, Settings

ASKED_AGAIN_S = 1.0  # a call that waits for brokers does not report that one of them refuses us
REFUSED_S = 2.0  # within this time another broker, or the same one after its start, may still accept us
CLIENT_LOG_S = 10.0  # a client that cannot connect says so several times a second

C = TypeVar("C")

_rdkafka = logging.getLogger("circle.rdkafka")
_rdkafka.addFilter(SeldomAgain(CLIENT_LOG_S))

# A broker's error for a missing right, and the resource that the right is for.
RIGHTS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "group",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "transactional id",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "cluster",
}
TLS_ALERT = "SSL alert number"  # a broker that refuses our certificate says so after the handshake
REFUSED = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED})


def connection(settings: Settings) -> dict[str, Any]:
    """The brokers' addresses, protocol and credentials: the secret part of a client's configuration."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "security.protocol": settings.kafka_security_protocol.value,
        **_given("ssl.ca.location", settings.kafka_ca_file),
        **_given("ssl.certificate.location", settings.kafka_cert_file),
        **_given("ssl.key.location", settings.kafka_key_file),
        **_given("ssl.key.password", settings.kafka_key_password),
    }
    if not settings.kafka_security_protocol.sasl:
        return config
    mechanism = settings.kafka_sasl_mechanism
    assert mechanism is not None, "settings_from_env refuses SASL without a mechanism"
    config["sasl.mechanisms"] = mechanism.value
    if mechanism is not SaslMechanism.OAUTHBEARER:
        return config | {"sasl.username": settings.kafka_sasl_username, "sasl.password": settings.kafka_sasl_password}
    return config | {
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": settings.kafka_oauth_token_url,
        "sasl.oauthbearer.client.id": settings.kafka_oauth_client_id,
        "sasl.oauthbearer.client.secret": settings.kafka_oauth_client_secret,
        **_given("sasl.oauthbearer.scope", settings.kafka_oauth_scope),
        **_given("https.ca.location", settings.kafka_ca_file),
    }


def new_admin(settings: Settings, config: dict[str, Any] | None = None, *, quiet: bool = False) -> AdminClient:
    """An admin client. `quiet`: it writes no log of its own, because every failure comes back as an error."""
    own = connection(settings) | (config or {})
    if quiet:
        return _made(settings, lambda: AdminClient(own | {"log_level": 0}))
    return _made(settings, lambda: AdminClient(own, logger=_rdkafka))


def new_consumer(settings: Settings, config: dict[str, Any]) -> Consumer:
    """A consumer."""
    return _made(settings, lambda: Consumer(connection(settings) | config, logger=_rdkafka))


def new_producer(settings: Settings, config: dict[str, Any]) -> Producer:
    """A producer."""
    return _made(settings, lambda: Producer(connection(settings) | config, logger=_rdkafka))


class Trouble:
    """Collects a client's errors about its connections, as its `error_cb`. They say more than a failed call."""

    def __init__(self) -> None:
        self.refused: str | None = None

    def __call__(self, error: KafkaError) -> None:
        if error.code() in REFUSED or TLS_ALERT in error.str():
            self.refused = error.str()


def ask_for_brokers(settings: Settings, timeout_s: float) -> int:
    """The number of brokers in the cluster, as the cluster reports it.

    Raises AccessRefused when the brokers refuse us, ServiceUnreachable when no broker answers in time.
    """
    trouble, began = Trouble(), time.monotonic()
    client = new_admin(settings, {"error_cb": trouble})
    while True:
        left_s = timeout_s - (time.monotonic() - began)
        try:
            return len(client.list_topics(timeout=max(0.1, min(ASKED_AGAIN_S, left_s))).brokers)
        except KafkaException as error:
            client.poll(0.1)  # delivers the errors of the connections
            waited_s = time.monotonic() - began
            if trouble.refused is not None and waited_s >= min(REFUSED_S, timeout_s):
                raise access_refused(settings, trouble.refused) from None
            if waited_s >= timeout_s:
                hint = f"{error.args[0].str()}; is CIRCLE_KAFKA_BOOTSTRAP_SERVERS right?"
                raise ServiceUnreachable("Kafka", settings.kafka_bootstrap_servers, hint) from None


def access_refused(settings: Settings, why: str) -> AccessRefused:
    """The error for brokers that refuse us."""
    who = f" as {settings.kafka_sasl_username}" if settings.kafka_sasl_username else ""
    hint = (
        f"{settings.redact(why)}; look at CIRCLE_KAFKA_SECURITY_PROTOCOL ({settings.kafka_security_protocol.value}), "
        "CIRCLE_KAFKA_SASL_…, CIRCLE_KAFKA_OAUTH_…, CIRCLE_KAFKA_CERT_FILE and CIRCLE_KAFKA_CA_FILE"
    )
    return AccessRefused(f"Kafka{who}", settings.kafka_bootstrap_servers, hint)


def right_missing(error: KafkaError, name: str) -> CircleError | None:
    """The error for a right that our principal lacks; None when `error` is about something else."""
    kind = RIGHTS.get(error.code())
    if kind is None:
        return None
    return AccessRefused(
        "Kafka",
        f"{kind} {name}".rstrip(),
        f"{error.str()}; `circle topics acls` lists the rights that each process needs",
    )


def refused_right(error: BaseException) -> CircleError | None:
    """The same for any error: None when it is not about a missing right in Kafka."""
    if not isinstance(error, KafkaException) or not error.args or not isinstance(error.args[0], KafkaError):
        return None
    return right_missing(error.args[0], "")


def _made(settings: Settings, make: Callable[[], C]) -> C:
    try:
        return make()
    except KafkaException as error:
        problem = f"the Kafka client does not take this configuration: {settings.redact(error.args[0].str())}"
        raise SettingsError("CIRCLE_KAFKA_…", problem) from None


def _given(name: str, value: object) -> dict[str, str]:
    return {} if value is None else {name: str(value)}
