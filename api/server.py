"""Serves the API: `circle api`. One process by default; several share the load, and each is a complete API.

Guarantee: after SIGTERM or SIGINT it accepts no connections, finishes running requests within SHUTDOWN_GRACE_S, and
waits for the log's acknowledgements. Returns 0.
"""

from __future__ import annotations

import os
import socket
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from shutil import rmtree
from typing import Any

from sanic import Sanic
from sanic.worker.loader import AppLoader

from api.app import NAME, create_app
from api.auth.keys import KeyRing, generate_pem
from api.http.descriptors import affordable
from api.http.protocol import EdgeProtocol
from api.stop_signals import StopSignals
from connectors import logs, temporary_directories
from connectors.errors import ServiceUnreachable
from connectors.schema_registry import codec_of
from pipelines.platform_settings import PlatformSettings

MULTIPROC = "PROMETHEUS_MULTIPROC_DIR"

log = logs.get("api")


def serve(settings: PlatformSettings, host: str, port: int, workers: int = 1) -> int:
    """Serve until a stop signal. Raises SettingsError for a bad key file, ServiceUnreachable for a port in use."""
    _check_port(host, port)
    codec_of(settings)  # fails before anything is started if the schema registry does not answer
    with temporary_directories.made("api") as scratch:
        key_file = settings.jwt_key_file
        if key_file is None:  # development only: in production the settings refuse this
            key_file = scratch / "jwt.pem"
            key_file.touch(mode=0o600)
            key_file.write_bytes(generate_pem())
            log.warning("keys.ephemeral", reason="CIRCLE_JWT_KEY_FILE is not set; tokens end with this process")
        KeyRing.load(key_file)
        if workers == 1:
            create_app(settings, key_file, StopSignals.take()).run(
                host,
                port,
                protocol=EdgeProtocol,
                backlog=affordable().accept_queue_max,
                single_process=True,
                access_log=False,
                motd=False,
            )
            return 0
        return _serve_many(settings, host, port, workers, key_file, scratch)


def _serve_many(settings: PlatformSettings, host: str, port: int, workers: int, key_file: Path, scratch: Path) -> int:
    """Serve with Sanic's worker manager. The workers share their metrics through a directory."""
    metrics = Path(os.environ.get(MULTIPROC) or scratch / "metrics")
    rmtree(metrics, ignore_errors=True)
    metrics.mkdir(parents=True)
    os.environ[MULTIPROC] = str(metrics)
    loader = AppLoader(factory=partial(_create_worker_app, settings, key_file))
    app = loader.load()
    app.prepare(
        host=host,
        port=port,
        protocol=EdgeProtocol,
        workers=workers,
        backlog=affordable().accept_queue_max,
        access_log=False,
        motd=False,
    )
    Sanic.serve(primary=app, app_loader=loader)
    return 0


def _create_worker_app(settings: PlatformSettings, key_file: Path) -> Sanic[Any, Any]:
    # The manager makes the application too. It serves nothing, and Sanic hears its signals.
    return create_app(settings, key_file, None if parent_process() is None else StopSignals.take())


def _check_port(host: str, port: int) -> None:
    """Raises ServiceUnreachable, before anything is started, if the port is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            hint = f"{error.strerror}; another process may be listening there, choose another port"
            raise ServiceUnreachable("The API's address", f"{host}:{port}", hint) from None


__all__ = ["NAME", "serve"]
