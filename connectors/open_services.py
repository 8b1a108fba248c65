"""Refuses open services in production: remote ones in clear or without credentials, and key files that others can read.

Guarantee: a service passes if it is encrypted and asks for credentials, if it is on this machine, or if
CIRCLE_ALLOW_INSECURE names it. An error names the variable, its value without secrets, and an example.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from connectors.errors import SettingsError
from connectors.settings import Insecure, Settings
from connectors.urls import host_of, hosts_of, is_here, parameter, password_of, without_password

# libpq's other modes send everything in clear, always or when the server or an attacker in between asks for it.
ENCRYPTED = frozenset({"require", "verify-ca", "verify-full"})
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class OpenService(NamedTuple):
    """An open service or file: its name in CIRCLE_ALLOW_INSECURE, and its problem."""

    name: Insecure
    variable: str
    problem: str
    got: str
    example: str


def refuse_insecure(settings: Settings, secret_files: Mapping[str, Path]) -> None:
    """Raises SettingsError for the first open service or file that CIRCLE_ALLOW_INSECURE does not name."""
    for service in (*_services(settings), *_files(settings, secret_files)):
        if service.name not in settings.allow_insecure:
            raise SettingsError(
                service.variable,
                f"{service.problem}, which production refuses; if no one else uses that network, name it in "
                f"CIRCLE_ALLOW_INSECURE={service.name}"
                if service.name is not Insecure.FILES
                else f"{service.problem}, which production refuses",
                got=without_password(service.got),
                example=service.example,
            )


def _services(settings: Settings) -> Iterator[OpenService]:
    yield from _kafka(settings)
    yield from _postgres(settings.postgres_url)
    yield from _redis(settings.redis_url)
    if settings.schema_registry_url is not None:
        yield from _registry(settings.schema_registry_url)
    if settings.smtp_url is not None:
        yield from _smtp(settings.smtp_url)


def _kafka(settings: Settings) -> Iterator[OpenService]:
    protocol = settings.kafka_security_protocol
    if not all(is_here(host_of(one)) for one in settings.kafka_bootstrap_servers.split(",")):
        if not protocol.tls:
            problem = f"reaches {settings.kafka_bootstrap_servers} in clear"
            yield OpenService(
                name=Insecure.KAFKA,
                variable="CIRCLE_KAFKA_SECURITY_PROTOCOL",
                problem=problem,
                got=protocol.value,
                example="SASL_SSL",
            )
        if not protocol.sasl and settings.kafka_cert_file is None:
            problem = f"reaches {settings.kafka_bootstrap_servers} without credentials"
            yield OpenService(
                name=Insecure.KAFKA,
                variable="CIRCLE_KAFKA_SECURITY_PROTOCOL",
                problem=problem,
                got=protocol.value,
                example="SASL_SSL",
            )
    token_url = settings.kafka_oauth_token_url
    if token_url is not None and _in_clear(token_url, "http"):
        problem = "would send the client's secret in clear"
        yield OpenService(
            name=Insecure.KAFKA,
            variable="CIRCLE_KAFKA_OAUTH_TOKEN_URL",
            problem=problem,
            got=token_url,
            example="https://id.example.org/oauth2/token",
        )


def _postgres(url: str) -> Iterator[OpenService]:
    variable, example = "CIRCLE_POSTGRES_URL", "postgresql://circle:…@db:5432/circle?sslmode=verify-full"
    mode = parameter(url, "sslmode")
    hosts = hosts_of(url)
    if hosts and all(host.startswith("/") for host in hosts):
        return  # over a socket, the server knows the user
    if not all(is_here(host) for host in hosts) and mode not in ENCRYPTED:
        mode_text = f"sslmode={mode}" if mode else "no sslmode"
        yield OpenService(
            name=Insecure.POSTGRES,
            variable=variable,
            problem=f"goes over the network with {mode_text}, in clear",
            got=url,
            example=example,
        )
    if not password_of(url) and parameter(url, "sslcert") is None and parameter(url, "passfile") is None:
        yield OpenService(
            name=Insecure.POSTGRES, variable=variable, problem="has no password", got=url, example=example
        )


def _redis(url: str) -> Iterator[OpenService]:
    variable, example = "CIRCLE_REDIS_URL", "rediss://:…@redis:6379/0"
    parts = urlsplit(url)
    if parts.scheme == "unix" or all(is_here(host) for host in hosts_of(url)):
        return
    if parts.scheme != "rediss":
        yield OpenService(
            name=Insecure.REDIS, variable=variable, problem="goes over the network in clear", got=url, example=example
        )
    if (parameter(url, "ssl_cert_reqs") or "required").lower() != "required":
        yield OpenService(
            name=Insecure.REDIS,
            variable=variable,
            problem="does not verify the server's certificate",
            got=url,
            example=example,
        )
    if not password_of(url):
        yield OpenService(name=Insecure.REDIS, variable=variable, problem="has no password", got=url, example=example)


def _registry(url: str) -> Iterator[OpenService]:
    variable, example = "CIRCLE_SCHEMA_REGISTRY_URL", "https://circle:…@registry:8081"
    if all(is_here(host) for host in hosts_of(url)):
        return
    if urlsplit(url).scheme != "https":
        yield OpenService(
            name=Insecure.REGISTRY,
            variable=variable,
            problem="goes over the network in clear",
            got=url,
            example=example,
        )
    if not password_of(url):
        yield OpenService(
            name=Insecure.REGISTRY, variable=variable, problem="has no password", got=url, example=example
        )


def _smtp(url: str) -> Iterator[OpenService]:
    variable, example = "CIRCLE_SMTP_URL", "smtps://user:…@mail.example.org"
    if urlsplit(url).scheme == "file" or all(is_here(host) for host in hosts_of(url)):
        return
    if not password_of(url):  # with one, STARTTLS is always asked for
        clear = urlsplit(url).scheme == "smtp"
        problem = "has no password, and is in clear where the server does not offer TLS" if clear else "has no password"
        yield OpenService(name=Insecure.SMTP, variable=variable, problem=problem, got=url, example=example)


def _files(settings: Settings, secret_files: Mapping[str, Path]) -> Iterator[OpenService]:
    files = {
        "CIRCLE_JWT_KEY_FILE": settings.jwt_key_file,
        "CIRCLE_KAFKA_KEY_FILE": settings.kafka_key_file,
        **secret_files,
    }
    key = parameter(settings.postgres_url, "sslkey")
    if key is not None:
        files["CIRCLE_POSTGRES_URL"] = Path(key)
    for variable, path in files.items():
        if path is not None and path.exists() and path.stat().st_mode & OTHERS:
            mode = stat.S_IMODE(path.stat().st_mode)
            problem = (
                f"can be read by others (mode {mode:04o}); `chmod 600` it, or name files in CIRCLE_ALLOW_INSECURE "
                "if no one else uses this machine"
            )
            yield OpenService(name=Insecure.FILES, variable=variable, problem=problem, got=str(path), example=str(path))


def _in_clear(url: str, scheme: str) -> bool:
    return urlsplit(url).scheme == scheme and not all(is_here(host) for host in hosts_of(url))
