"""`python -m ops.containers.with_engine COMMAND…`: runs a command with a Docker engine and `make images`'s stand-ins.

The engine is the one that answers, else one of our own until the command ends. The exit code is the command's.
"""

import subprocess
import sys

from connectors.errors import ServiceUnreachable
from ops.containers import engine as engines
from ops.containers.images import PREFIX


def main(command: list[str]) -> int:
    """Runs `command` with DOCKER_HOST and CIRCLE_IMAGES set. 3: no engine can be had."""
    try:
        with engines.running() as engine:
            return subprocess.run(command, env={**engine.env, "CIRCLE_IMAGES": PREFIX}, check=False).returncode
    except ServiceUnreachable as error:
        print(f"error: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
