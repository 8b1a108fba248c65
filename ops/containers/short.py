"""`python -m ops.containers.short COMMAND…`: builds what the profile `app` needs, then runs a command that tests it.

For a change's gate. The engine is the one that answers, else one of our own until the command ends. As root it installs
what an engine needs of Debian's packages. Where the machine can have no engine, or no base for the images, it says why,
runs nothing, and its exit code is 0: a gate without containers passes. Where a program for the other images is missing,
the product's image alone is tested. Else the exit code is the command's. The last line says what of the tests ran, and
what did not.
"""

import os
import shutil
import subprocess
import sys
import time

from connectors.errors import ServiceUnreachable
from ops.containers import engine as engines
from ops.containers import images
from ops.containers.engine import DockerFailed, Engine

STARTED = "containers: "
PACKAGES = {"docker": "docker.io", "dockerd": "docker.io", "iptables": "iptables", "debootstrap": "debootstrap"}
"""Debian's packages by the program that we need of each."""


def main(command: list[str]) -> int:
    """Builds, runs `command` with DOCKER_HOST set, and prints the line."""
    install()
    if (why := why_not()) is not None:
        print(f"{STARTED}nothing ran: {why}")
        return 0
    began = time.monotonic()
    try:
        with engines.running() as engine:
            images.build_for_product(engine, _say)
            without = _build_the_rest(engine)
            print(f"built in {time.monotonic() - began:.0f} s", flush=True)
            code = subprocess.run(command, env=engine.env, check=False).returncode
            print(f"{STARTED}{_ran(without) if code == 0 else 'the tests failed'}")
            return code
    except ServiceUnreachable as error:
        print(f"{STARTED}nothing ran: {error}")
        return 0
    except DockerFailed as error:
        print(error, file=sys.stderr)
        print(f"{STARTED}an image was not built")
        return 1


def install() -> None:
    """Installs the packages of absent programs, as root where there is apt-get. `why_not` names what stays absent."""
    absent = sorted({package for program, package in PACKAGES.items() if shutil.which(program) is None})
    if absent and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"{STARTED}{', '.join(absent)} of Debian's packages are installed", flush=True)
        for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *absent]):
            subprocess.run(["apt-get", *words], env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=False)


def why_not() -> str | None:
    """Why this machine can build no image; None when it can try."""
    return engines.why_none() or images.why_no_base()


def _build_the_rest(engine: Engine) -> str | None:
    """Why this machine can make no image for one of the other services; None when all are there."""
    try:
        images.build_for_app(engine, _say)
    except ServiceUnreachable as error:
        return str(error)
    return None


def _ran(without: str | None) -> str:
    ran = "the image and a drop in the stack ran"
    return ran if without is None else f"the image ran; the stack did not: {without}"


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
