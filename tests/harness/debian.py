"""Programs from Debian's packages: found on the PATH, else unpacked into the cache.

A package is unpacked, not installed: no service is started, and no root is needed. Where neither works, a test is
skipped, and says so; with TEST_TOOLS=required it fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.harness.missing_tools import missing

CACHE = Path(os.environ.get("CIRCLE_CACHE_DIR", Path(__file__).parents[2] / ".cache"))
PLACES = ("usr/bin", "usr/sbin")
SYSTEM = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])  # not on every user's PATH


def program(name: str, package: str, *libraries: str) -> Path:
    """The path of a program. `libraries` are the packages that it needs beyond a small installation of Debian.

    The test ends as `missing` says when there is none and none can be had.
    """
    found = shutil.which(name, path=SYSTEM) or _unpacked(name, package)
    if found is None and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        cache = CACHE / package
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", package, *libraries], cwd=cache, check=False, capture_output=True)
        for file in cache.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", file.name, "."], cwd=cache, check=True)
        found = _unpacked(name, package)
    if found is None:
        missing(f"{name} is missing: install Debian's package {package}")
    return Path(found)


def libraries(package: str) -> list[Path]:
    """The directories with the unpacked libraries of a package; none where the system has the package."""
    return sorted({file.parent for file in (CACHE / package).glob("usr/lib/**/*.so*")})


def _unpacked(name: str, package: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join(str(CACHE / package / place) for place in PLACES))
