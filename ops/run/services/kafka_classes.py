"""Archives the classes of Apache Kafka's broker, as one start of it loads them: later starts take half the time.

A JVM reads and checks some thousand classes of the jars before a broker answers. From its archive (class data sharing)
it maps them. An archive is for one Java and one set of jars; the JVM itself leaves another one aside.
"""

import fcntl
import tempfile
from pathlib import Path

from ops.run.services import kafka_jars
from ops.run.services.apache_kafka import KafkaNode


class _Recorder(KafkaNode):
    """A broker that writes its classes into `target` at its end."""

    stop_timeout_s = 120.0

    def __init__(self, target: Path) -> None:
        super().__init__()
        self._target = target

    def class_options(self) -> list[str]:
        return []

    def command(self) -> list[str]:
        java, *rest = super().command()
        return [java, f"-XX:ArchiveClassesAtExit={self._target}", *rest]


def archive() -> Path | None:
    """Makes the archive, unless it is there: starts a broker and stops it. None where the Java writes none.

    Raises `ServiceUnreachable` when there is no Java, no Maven, or the broker does not start.
    """
    wanted = kafka_jars.class_archive()
    with wanted.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not wanted.is_file():
            with tempfile.TemporaryDirectory(dir=wanted.parent, prefix=".classes-") as made:
                target = Path(made, wanted.name)
                with _Recorder(target) as broker:
                    broker.stop()
                if not target.is_file():
                    return None
                target.rename(wanted)
    return wanted
