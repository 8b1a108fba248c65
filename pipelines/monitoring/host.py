"""What monitoring sees of its own machine: the disks that it watches, and the certificates that its settings name."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from connectors.logs import Log
from connectors.settings import Settings

PEM_BYTES_MAX = 1 << 20  # a bundle of authorities has 200 KB
CHAIN_MAX = 10  # a server's chain has two or three, an organization's own authorities are few
URL_FILES = ("sslrootcert", "sslcert")

log = Log("host")


class DiskSpace(NamedTuple):
    """The size of a disk and its free part, in bytes."""

    size: int
    free: int


def disks(settings: Settings) -> dict[str, DiskSpace]:
    """The disks of temporary files and of CIRCLE_WATCHED_DIR, by path. A path that is gone is left out."""
    paths = dict.fromkeys([tempfile.gettempdir(), *([str(settings.watched_dir)] if settings.watched_dir else [])])
    found = {}
    for path in paths:
        try:
            usage = shutil.disk_usage(path)
        except OSError as error:
            log.warning("disk.not_read", path=path, error=str(error))
            continue
        found[path] = DiskSpace(usage.total, usage.free)
    return found


def certificate_ends(settings: Settings) -> dict[str, float]:
    """The first end, in seconds since the epoch, of the certificates in each file of the settings.

    A bundle of more than CHAIN_MAX certificates is left out: nothing says which of its authorities we need.
    """
    found: dict[str, float] = {}
    files = list(certificate_files(settings))
    if not files:
        return found
    from cryptography import x509  # only where a setting names certificates

    for path in files:
        try:
            with path.open("rb") as file:
                certificates = x509.load_pem_x509_certificates(file.read(PEM_BYTES_MAX))
        except (OSError, ValueError) as error:
            log.warning("certificate.not_read", path=str(path), error=f"{type(error).__name__}: {error}")
            continue
        if len(certificates) <= CHAIN_MAX:
            found[str(path)] = min(one.not_valid_after_utc.timestamp() for one in certificates)
    return found


def certificate_files(settings: Settings) -> Iterator[Path]:
    """Each file of certificates that a setting names, once."""
    named = [
        settings.kafka_ca_file,
        settings.kafka_cert_file,
        settings.redis_ca_file,
        settings.schema_registry_ca_file,
        settings.smtp_ca_file,
    ]
    query = parse_qs(urlsplit(settings.postgres_url).query)
    named += [Path(query[name][0]) for name in URL_FILES if name in query]
    yield from dict.fromkeys(path for path in named if path is not None)
