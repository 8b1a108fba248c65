"""Finds Java, and downloads Apache Kafka's jars with Maven into the cache directory, as `ops/kafka/pom.xml` pins them.

The directory's name is a digest of the pom. So a changed pin gives a new directory, and versions never mix.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from connectors.errors import ServiceUnreachable

POM = Path(__file__).parents[2] / "kafka" / "pom.xml"
JAVA_MAJOR_MIN = 17  # Apache Kafka 4's broker needs it
MAVEN_TIMEOUT_S = 900  # a first download of some 60 MB on a slow line
SERVICE = "Apache Kafka"


def cache_dir() -> Path:
    """`CIRCLE_CACHE_DIR`, else `.cache` in the working tree."""
    given = os.environ.get("CIRCLE_CACHE_DIR", "")
    return Path(given).resolve() if given else Path(__file__).parents[3] / ".cache"


def kafka_version() -> str:
    """The pinned version of Apache Kafka."""
    found = re.search(r"<kafka\.version>([^<]+)<", POM.read_text())
    assert found is not None, "the pom pins kafka.version"
    return found.group(1)


def java() -> str:
    """The path of a Java that can run the broker. Raises `ServiceUnreachable`, which says what to install."""
    home = os.environ.get("JAVA_HOME", "")
    candidate = Path(home, "bin", "java") if home else None
    path = str(candidate) if candidate is not None and candidate.is_file() else shutil.which("java")
    hint = f"a JDK {JAVA_MAJOR_MIN} or later is needed; install one, or set JAVA_HOME, or use --broker embedded"
    if path is None:
        raise ServiceUnreachable(SERVICE, "this machine", f"no java was found; {hint}")
    major = java_major(path)
    if major < JAVA_MAJOR_MIN:
        raise ServiceUnreachable(SERVICE, "this machine", f"{path} is Java {major}; {hint}")
    return path


@cache
def java_version(path: str) -> str:
    """The version that `java -version` reports, as "17.0.15"; "0" when it does not run. One JVM for each path."""
    try:
        output = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "0"
    found = re.search(r'version "(\d[^"]*)', output.stderr + output.stdout)
    return found.group(1) if found else "0"


def java_major(path: str) -> int:
    """The major version of a Java; 0 when it does not run."""
    return int(re.split(r"\D", java_version(path))[0])


def resolve() -> Path:
    """The directory of the broker's jars. Downloads them when it is missing."""
    return fetched(POM, f"kafka/{kafka_version()}", "copy-dependencies")


def class_archive() -> Path:
    """The file with the broker's class data for this Java and these jars; `kafka_classes.archive` makes it."""
    jars, path = resolve(), java()
    key = f"{jars.name} {path} {java_version(path)}"
    return jars.parent / f"classes-{hashlib.sha256(key.encode()).hexdigest()[:12]}.jsa"


def fetched(pom: Path, name: str, goal: str) -> Path:
    """The directory with the result of a goal of Maven's dependency plugin, under `name` in the cache. It is made once
    for each content of the pom."""
    jars = cache_dir() / f"{name}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    root = jars.parent
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        hint = "no mvn was found; install Maven, which resolves the broker's jars, or use --broker embedded"
        raise ServiceUnreachable(SERVICE, "this machine", hint)
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():  # another process may have made it
            _fetch(maven, pom, goal, jars)
    return jars


def _fetch(maven: str, pinned: Path, goal: str, jars: Path) -> None:
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix=".fetch-") as made:
        # Maven writes its build directory next to the pom, so the pom is copied to a temporary directory.
        pom = Path(made, "pom.xml")
        shutil.copyfile(pinned, pom)
        target = Path(made, "jars")
        done = subprocess.run(
            [
                maven,
                "-q",
                "-B",
                "-f",
                str(pom),
                f"dependency:{goal}",
                f"-DoutputDirectory={target}",
            ],
            capture_output=True,
            text=True,
            timeout=MAVEN_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            tail = "\n".join(f"  {line}" for line in (done.stdout + done.stderr).splitlines()[:10])
            raise ServiceUnreachable(SERVICE, "Maven's repository", f"mvn ended with {done.returncode}:\n{tail}")
        target.rename(jars)
