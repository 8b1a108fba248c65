"""Kafka Connect on the JVM, stock: it reads a topic through a schema registry and writes each value to a file."""

from __future__ import annotations

from pathlib import Path

import httpx

from ops.run.services import kafka_jars
from ops.run.services.process import Service
from tests.harness.plain_http import PLAIN

POM = Path(__file__).parents[1] / "kafka" / "connect.xml"
WORKER = """
bootstrap.servers={brokers}
listeners=http://{address}
offset.storage.file.filename={directory}/offsets
plugin.discovery=service_load
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=io.apicurio.registry.utils.converter.AvroConverter
value.converter.apicurio.registry.url={registry}
value.converter.apicurio.registry.as-confluent=true
value.converter.apicurio.registry.use-id=contentId
value.converter.apicurio.registry.headers.enabled=false
"""
SINK = """
name=sink
connector.class=org.apache.kafka.connect.file.FileStreamSinkConnector
tasks.max=1
topics={topic}
file={directory}/values
"""


class KafkaConnect(Service):
    """A standalone worker with one sink. `values` has a line for each record that it has read."""

    name = "connect"
    start_timeout_s = 120.0

    def __init__(self, *, brokers: str, registry: str, topic: str) -> None:
        super().__init__()
        self._brokers, self._registry, self._topic = brokers, registry, topic

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def values(self) -> list[str]:
        path = self.directory / "values"
        return path.read_text().splitlines() if path.exists() else []

    def tasks(self) -> list[dict[str, str]]:
        """The state of each task of the sink, with its error if it has failed."""
        found: list[dict[str, str]] = httpx.get(f"{self.url}/connectors/sink/status", timeout=10, verify=PLAIN).json()[
            "tasks"
        ]
        return found

    def command(self) -> list[str]:
        jars = kafka_jars.fetched(POM, "kafka/connect", "copy-dependencies")
        worker, sink = self.directory / "worker.properties", self.directory / "sink.properties"
        places = {"address": self.address, "directory": self.directory}
        worker.write_text(WORKER.format(brokers=self._brokers, registry=self._registry, **places))
        sink.write_text(SINK.format(topic=self._topic, directory=self.directory))
        options = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xmx384m"]
        program = ["-cp", f"{jars}/*", "org.apache.kafka.connect.cli.ConnectStandalone"]
        return [kafka_jars.java(), *options, *program, str(worker), str(sink)]

    def probe(self) -> bool:
        try:
            return httpx.get(f"{self.url}/connectors/sink/status", timeout=1, verify=PLAIN).status_code == 200
        except httpx.HTTPError:
            return False
