"""Apache Kafka as in production: TLS, credentials, and an authorizer that denies by default."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from ops.run.services.apache_kafka import FORMAT_TIMEOUT_S, LOG4J, KafkaNode
from ops.run.services.kafka_probe import brokers_known
from ops.run.services.process import LOOPBACK, free_port, log_tail, port_answers, spawn
from tests.harness.token_server import AUDIENCE, ISSUER

DECISIONS = Path(__file__).parents[1] / "kafka" / "log4j2-authorizer.xml"
SUPERUSER = "root-of-kafka"


class SecuredKafka(KafkaNode):
    """One node. Its address is the listener with TLS and SCRAM; another listener in clear is for the broker itself and
    the probe. `certified` asks for a certificate of `authority` and takes its common name; `token` takes tokens
    (OAUTHBEARER) that a key of the file `jwks` has signed.
    """

    def __init__(self, keystore: Path, users: Mapping[str, str], *, authority: Path, jwks: Path) -> None:
        super().__init__()
        self._keystore, self._users, self._inside = keystore, dict(users), free_port()
        self._authority, self._jwks = authority, jwks
        self.certified, self.token = (f"{LOOPBACK}:{free_port()}" for _ in range(2))

    def probe(self) -> bool:
        return port_answers(self.port) and brokers_known(f"{LOOPBACK}:{self._inside}") > 0

    def _java(self, main: str, *arguments: str) -> list[str]:
        java, *rest = super()._java(main, *arguments)
        own = {
            "org.apache.kafka.sasl.oauthbearer.allowed.urls": self._jwks.as_uri(),
            "org.apache.kafka.sasl.oauthbearer.allowed.files": str(self._jwks),
            "log4j2.configurationFile": f"{LOG4J},{DECISIONS}",
            "circle.decisions": str(self.decisions),
        }
        rest = [one for one in rest if not one.startswith("-Dlog4j2.configurationFile=")]
        return [java, *(f"-D{name}={value}" for name, value in own.items()), *rest]

    @property
    def decisions(self) -> Path:
        """The authorizer's decisions, one line each."""
        return self.directory / "decisions.log"

    def _format(self) -> None:
        properties = str(self.directory / "server.properties")
        users = [
            word
            for name, password in self._users.items()
            for word in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")
        ]
        command = self._java("kafka.tools.StorageTool", "format", "--cluster-id", self.cluster, "--config", properties)
        process = spawn([*command, *users], log=self.log)
        try:
            code = process.wait(timeout=FORMAT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        assert code == 0, log_tail(self.log)

    def _properties(self) -> str:
        controller = self.voters[self.node]
        outside = (
            f"SECURE://{self.address},CERTIFIED://{self.certified},TOKEN://{self.token},"
            f"INSIDE://{LOOPBACK}:{self._inside}"
        )
        oauth = "org.apache.kafka.common.security.oauthbearer"
        other = {
            "listeners": f"{outside},CONTROLLER://{controller}",
            "advertised.listeners": outside,
            "listener.security.protocol.map": (
                "SECURE:SASL_SSL,CERTIFIED:SSL,TOKEN:SASL_SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT"
            ),
            "listener.name.certified.ssl.client.auth": "required",
            "listener.name.certified.ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self._authority),
            "listener.name.token.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.token.oauthbearer.sasl.jaas.config": f"{oauth}.OAuthBearerLoginModule required;",
            "listener.name.token.oauthbearer.sasl.server.callback.handler.class": (
                f"{oauth}.OAuthBearerValidatorCallbackHandler"
            ),
            "sasl.oauthbearer.jwks.endpoint.url": self._jwks.as_uri(),
            "sasl.oauthbearer.jwt.validator.class": f"{oauth}.BrokerJwtValidator",  # the default takes any signature
            "sasl.oauthbearer.expected.audience": AUDIENCE,
            "sasl.oauthbearer.expected.issuer": ISSUER,
            "inter.broker.listener.name": "INSIDE",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.secure.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._keystore),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": f"User:{SUPERUSER};User:ANONYMOUS",
        }
        lines = [line for line in super()._properties().splitlines() if line.partition("=")[0] not in other]
        return "\n".join([*lines, *(f"{name}={value}" for name, value in other.items()), ""])
