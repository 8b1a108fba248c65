"""PgBouncer in front of the embedded PostgreSQL, in each of its modes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Self

import asyncpg

from ops.run.services.postgres import DATABASE, SUPERUSER, Postgres, unprivileged_user
from ops.run.services.process import LOOPBACK, Service, port_answers, run_coroutine
from ops.run.services.stack import Stack
from tests.harness.debian import libraries, program

PACKAGE, NEEDS = "pgbouncer", ("libc-ares2", "libevent-2.1-7")
SERVERS_MAX = 12  # fewer than the connections of the platform's processes: they share servers


class PgBouncer(Service):
    """A pooler for all databases of one server. `options` are of its configuration file."""

    name = "pgbouncer"

    def __init__(self, postgres: Postgres, mode: str, **options: Any) -> None:
        super().__init__()
        self._postgres, self._mode, self._options = postgres, mode, options

    @property
    def url(self) -> str:
        return self.database_url(DATABASE)

    def database_url(self, database: str) -> str:
        """The way to a database through the pooler."""
        return self._postgres.database_url(database).replace(self._postgres.address, self.address)

    def user(self) -> tuple[int, int] | None:
        return unprivileged_user() if os.geteuid() == 0 else None  # it refuses root, as PostgreSQL does

    def environment(self) -> dict[str, str]:
        return {**os.environ, "LD_LIBRARY_PATH": str(self.directory)}

    def prepare(self) -> None:
        """Copies the program to where its user can reach it, and writes its files."""
        for file in (
            program(self.name, PACKAGE, *NEEDS),
            *(one for at in libraries(PACKAGE) for one in at.glob("*.so*")),
        ):
            shutil.copy(file, self.directory / file.name)
        password = self._postgres.url.partition("@")[0].rpartition(":")[2]
        self._write("users", f'"{SUPERUSER}" "{password}"\n')
        settings = {
            "listen_addr": LOOPBACK,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": self.directory / "users",
            "admin_users": SUPERUSER,
            "pool_mode": self._mode,
            "default_pool_size": SERVERS_MAX,
            "max_client_conn": 500,
            "server_login_retry": 1,
            **self._options,
        }
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        server = f"* = host={LOOPBACK} port={self._postgres.port}\n"
        self._write("pgbouncer.ini", f"[databases]\n{server}[pgbouncer]\n{lines}")

    def command(self) -> list[str]:
        return [str(self.directory / "pgbouncer"), str(self.directory / "pgbouncer.ini")]

    def probe(self) -> bool:
        return port_answers(self.port)

    def _write(self, name: str, text: str) -> None:
        file = self.directory / name
        file.write_text(text)
        owner = self.user()
        if owner is not None:
            os.chown(file, *owner)
        file.chmod(0o600)


class PooledStack(Stack):
    """Services of which PostgreSQL has a pooler in front: `fresh` gives the way through it."""

    def __init__(self, mode: str, **options: Any) -> None:
        super().__init__()
        assert isinstance(self.postgres, Postgres)
        self.pooler = PgBouncer(self.postgres, mode, **options)

    def start(self) -> Self:
        super().start()
        run_coroutine(as_shipped(self.postgres.url))
        self.pooler.start()
        return self

    def stop(self) -> None:
        self.pooler.close()
        super().stop()

    def fresh(self) -> dict[str, str]:
        env = super().fresh()
        database = env["CIRCLE_POSTGRES_URL"].rpartition("/")[2]
        return {**env, "CIRCLE_POSTGRES_URL": self.pooler.database_url(database)}


class PooledPostgres(Postgres):
    """PostgreSQL with a pooler in front, for a Platform: its URL is the pooler's, in transaction mode."""

    def __init__(
        self,
        *,
        data_dir: Path | None = None,
        port: int | None = None,
        log: Path | None = None,
        durable: bool | None = None,
    ) -> None:
        super().__init__(data_dir=data_dir, port=port, log=log, durable=durable)
        self.pooler = PgBouncer(self, "transaction")

    @property
    def url(self) -> str:
        return self.pooler.url if self.pooler.running else super().url

    def start(self) -> Self:
        super().start()
        run_coroutine(as_shipped(self.database_url(DATABASE)))
        self.pooler.start()
        return self

    def close(self) -> None:
        self.pooler.close()
        super().close()


async def as_shipped(url: str) -> None:
    """Gives sessions PostgreSQL's own default, which the embedded server without a data directory switches off."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"ALTER ROLE {SUPERUSER} SET synchronous_commit = on")
    finally:
        await connection.close()
