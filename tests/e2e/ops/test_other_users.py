"""Another user of this machine gets no access to a platform that runs here: no service, no mail, no key, no log."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ops.run.platform import Platform
from ops.run.services.postgres import unprivileged_user

NOBODY = pwd.getpwnam("nobody")
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
    pytest.mark.skipif(
        os.geteuid() == 0 and unprivileged_user()[0] == NOBODY.pw_uid,
        reason="PostgreSQL itself runs as nobody here: there is no user of its own",
    ),
]

# Root imports everything, since the user `nobody` may not even read this interpreter's libraries. The clients import
# more at their first use, so root uses each of them first.
AS_NOBODY = """
import asyncio, json, os, sys
import asyncpg, redis
paths, postgres, valkey, uid, gid = json.load(sys.stdin)
async def knock(password):
    try:
        await asyncpg.connect(host="127.0.0.1", port=postgres, user="postgres", database="postgres", password=password,
                              timeout=5, ssl=False, passfile="/nonexistent")
    except Exception as error:
        return type(error).__name__
    return "in"
def ping(password):
    try:
        redis.Redis(port=valkey, password=password, socket_timeout=5).ping()
    except redis.RedisError as error:
        return type(error).__name__
    return "in"
def knocks():
    return {"postgres": {str(one): asyncio.run(knock(one)) for one in (None, "", "postgres", "circle")},
            "valkey": {str(one): ping(one) for one in (None, "circle")}}
knocks()
os.setgroups([]); os.setgid(gid); os.setuid(uid)
found = {"read": [], "listed": [], **knocks()}
for path in paths:
    try:
        os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)
    except OSError:
        continue
    found["read"].append(path)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """A platform with a data directory that all users may read, from a process whose umask hides nothing."""
    parent = Path(tempfile.mkdtemp(prefix="circle-others-"))
    parent.chmod(0o755)
    before = os.umask(0)
    try:
        with pytest.MonkeyPatch.context() as patch:
            (parent / "runtime").mkdir(mode=0o755)
            patch.setenv("XDG_RUNTIME_DIR", str(parent / "runtime"))
            with Platform(data_dir=parent / "data", keep_mails=True, findable=True) as running:
                yield running
    finally:
        os.umask(before)
        shutil.rmtree(parent)


@pytest.fixture(scope="module")
def tried(platform: Platform) -> dict[str, Any]:
    """The results of the user `nobody`."""
    assert platform.data_dir is not None
    assert platform.mails is not None
    subprocess.run(
        [sys.executable, "-c", MAIL, str(platform.mails)], check=True, timeout=60, cwd=Path(__file__).parents[3]
    )
    top = platform.data_dir.parent
    bases = (top / "data", top / "runtime/general-circle")
    paths = [str(path) for base in bases for path in (base, *base.rglob("*"))]
    names = {Path(path).name for path in paths}
    assert names >= {"jwt.pem", "stack.json", "api.log", "postgres.log", "valkey.conf", "password", "m1.eml", "cluster"}
    stack = platform.stack
    given = [paths, stack.postgres.port, stack.valkey.port, NOBODY.pw_uid, NOBODY.pw_gid]
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


MAIL = """
import asyncio, os, sys
from email.message import EmailMessage
from pathlib import Path
from pipelines.notifications.mail.transport import FileMailbox
os.umask(0)
mail = EmailMessage()
mail["Message-ID"] = "<m1@x>"
asyncio.run(FileMailbox(Path(sys.argv[1])).send(mail))
"""


def test_another_user_reads_no_file_of_it_and_lists_no_directory(tried: dict[str, Any]) -> None:
    assert tried["read"] == []


def test_another_user_does_not_get_into_postgresql(tried: dict[str, Any]) -> None:
    assert set(tried["postgres"]) == {"None", "", "postgres", "circle"}
    assert "in" not in tried["postgres"].values()
    assert tried["postgres"]["postgres"] == "InvalidPasswordError"


def test_another_user_does_not_get_into_valkey(tried: dict[str, Any]) -> None:
    assert set(tried["valkey"].values()) == {"AuthenticationError"}


def test_no_process_shows_a_password_among_its_arguments(platform: Platform) -> None:
    secrets = platform.settings.secrets
    assert len(secrets) >= 2
    shown = " ".join(word for one in psutil.Process().children(recursive=True) for word in one.cmdline())
    assert "valkey-server" in shown
    assert not any(secret in shown for secret in secrets)


def test_the_owners_files_are_the_owners_alone(platform: Platform) -> None:
    assert platform.data_dir is not None
    # The cluster belongs to PostgreSQL's own user, who must pass through the directories above it.
    ours = [path for path in platform.data_dir.rglob("*") if "cluster" not in path.parts and path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in ours} == {0o600}
