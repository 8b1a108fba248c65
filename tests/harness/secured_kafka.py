"""Apache Kafka as production has it: TLS, SCRAM, and an authorizer that denies whatever is not allowed."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from ops.services.apache_kafka import FORMAT_TIMEOUT_S, KafkaNode
from ops.services.kafka_probe import brokers_known
from ops.services.process import LOOPBACK, free_port, log_tail, port_answers, spawn

SUPERUSER = "root-of-kafka"


class SecuredKafka(KafkaNode):
    """One node. Its address is the listener with TLS; another one in clear is for the broker itself, and the probe."""

    def __init__(self, keystore: Path, users: Mapping[str, str]) -> None:
        super().__init__()
        self._keystore, self._users, self._inside = keystore, dict(users), free_port()

    def probe(self) -> bool:
        return port_answers(self.port) and brokers_known(f"{LOOPBACK}:{self._inside}") > 0

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
        other = {
            "listeners": f"SECURE://{self.address},INSIDE://{LOOPBACK}:{self._inside},CONTROLLER://{LOOPBACK}:{controller}",
            "advertised.listeners": f"SECURE://{self.address},INSIDE://{LOOPBACK}:{self._inside}",
            "listener.security.protocol.map": "SECURE:SASL_SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
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
