"""Schema ids from a registry with Confluent's REST API, if CIRCLE_SCHEMA_REGISTRY_URL names one.

A topic has many record types, so each type is its own subject, named like the record ("circle.facts.Renamed"). Each
process asks the registry once, for its first codec, and never while records flow.

Guarantee: a returned codec has an id for each of our schemas, registered under FULL_TRANSITIVE compatibility. It reads
every version of our records that the registry had at that moment, from older and from newer programs.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from connectors.errors import AccessRefused, CircleError, ServiceUnreachable
from connectors.logs import Log
from connectors.settings import Settings
from connectors.urls import without_password
from schemas.codec import Codec, own_codec, own_schemas

TIMEOUT_S = 5.0  # for one answer
CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
COMPATIBILITY = "FULL_TRANSITIVE"
CONFLICT_TRIES = 5  # processes that start together register the same schemas at once
VERSIONS_MAX = 1_000  # of one record; each is kept in memory

log = Log("schema_registry")


class SchemaRefused(CircleError):
    """The registry refuses one of our schemas, or gives an answer that makes no sense."""


@dataclass(frozen=True, slots=True)
class Registered:
    """The registry's entries for our records."""

    ids: dict[str, int] = field(default_factory=dict)
    """The id of the newest schema of each record, by the record's full name."""
    writers: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Every version of every record, by its id."""


def codec_of(settings: Settings) -> Codec:
    """A codec with the registry's ids, or with the manifest's ids if no registry is set.

    Raises ServiceUnreachable when the registry does not answer, SchemaRefused when it refuses.
    """
    if settings.schema_registry_url is None:
        return own_codec()
    registered = ask(settings.schema_registry_url, settings.schema_registry_ca_file)
    return Codec(registered.ids, registered.writers)


@dataclass(frozen=True, slots=True)
class AppliedSubject:
    """A record's subject in the registry: how many schemas it must have, how many of them were missing, and the newest
    one's id, None where a dry run has not registered it."""

    subject: str
    schemas: int
    missing: int
    newest_id: int | None


@lru_cache(maxsize=4)
def ask(url: str, ca_file: Path | None = None) -> Registered:
    """Look up each of our schemas, register the missing ones, and read all other versions.

    A user and a password in the URL are basic authentication. With `ca_file` the server is verified against that file.
    """
    registered = Registered()
    with _Registry(url, ca_file) as registry:
        for name, schemas in own_schemas().items():
            ours = {registry.id_of(name, schema): schema for schema in schemas}
            registered.ids[name] = list(ours)[-1]
            registered.writers.update(registry.versions(name, ours))
    log.info(
        "schemas.registered",
        registry=without_password(url),
        records=len(registered.ids),
        schemas=len(registered.writers),
    )
    return registered


def apply_schemas(settings: Settings, *, dry_run: bool = False) -> list[AppliedSubject]:
    """Register each of our schemas that the registry lacks, under COMPATIBILITY. None without a registry.

    A dry run only looks. Raises as `codec_of` does.
    """
    if settings.schema_registry_url is None:
        return []
    applied: list[AppliedSubject] = []
    with _Registry(settings.schema_registry_url, settings.schema_registry_ca_file) as registry:
        for name, schemas in own_schemas().items():
            missing = sum(registry.known(name, schema) is None for schema in schemas)
            look = registry.known if dry_run else registry.id_of
            ids = [look(name, schema) for schema in schemas]
            applied.append(AppliedSubject(name, len(schemas), missing, ids[-1]))
    return applied


class _Registry:
    """One conversation with a registry."""

    def __init__(self, url: str, ca_file: Path | None) -> None:
        import httpx  # only where a registry is named: it costs each process a tenth of a second

        self._shown = without_password(url)
        verify = True if ca_file is None else ssl.create_default_context(cafile=str(ca_file))
        self._failed = httpx.HTTPError
        self._client = httpx.Client(
            base_url=url.rstrip("/") + "/",
            timeout=TIMEOUT_S,
            headers={"accept": f"{CONTENT_TYPE}, application/json"},
            verify=verify,
        )

    def __enter__(self) -> _Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def known(self, subject: str, schema: dict[str, Any]) -> int | None:
        """The schema's id; None when the registry does not have it."""
        status, answer = self._call("POST", f"subjects/{subject}", {"schema": json.dumps(schema)})
        return None if status == 404 else self._whole(answer, "id", subject)

    def id_of(self, subject: str, schema: dict[str, Any]) -> int:
        """The schema's id; it is registered when the registry does not have it."""
        found = self.known(subject, schema)
        if found is not None:
            return found
        body = {"schema": json.dumps(schema)}
        self._settled("PUT", f"config/{subject}", {"compatibility": COMPATIBILITY})
        answer = self._settled("POST", f"subjects/{subject}/versions", body)
        log.info("schema.registered", subject=subject, id=answer.get("id") if isinstance(answer, dict) else None)
        return self._whole(answer, "id", subject)

    def versions(self, subject: str, ours: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
        """Every version of a subject by its id, `ours` among them."""
        _, numbers = self._call("GET", f"subjects/{subject}/versions", expected=(200,))
        if not isinstance(numbers, list) or not 1 <= len(numbers) <= VERSIONS_MAX:
            raise self._senseless(subject, f"list of 1 to {VERSIONS_MAX} versions", numbers)
        versions = dict(ours)
        for number in numbers if len(numbers) > len(ours) else ():
            _, answer = self._call("GET", f"subjects/{subject}/versions/{number}", expected=(200,))
            try:
                versions.setdefault(self._whole(answer, "id", subject), json.loads(answer["schema"]))
            except (TypeError, KeyError, ValueError):
                raise self._senseless(subject, "schema", answer) from None
        return versions

    def _settled(self, method: str, path: str, body: dict[str, str]) -> Any:
        """The answer to a change. A 409 can mean that another process makes the same change now, so it is repeated."""
        for _ in range(CONFLICT_TRIES - 1):
            status, answer = self._call(method, path, body, expected=(200, 409))
            if status == 200:
                return answer
        return self._call(method, path, body, expected=(200,))[1]

    def _call(
        self, method: str, path: str, body: dict[str, str] | None = None, *, expected: tuple[int, ...] = (200, 404)
    ) -> tuple[int, Any]:
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"content-type": CONTENT_TYPE}
        try:
            response = self._client.request(method, path, content=content, headers=headers)
        except self._failed as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):  # httpx keeps the words of the library of TLS, not its error
                why = f"{error}; look at CIRCLE_SCHEMA_REGISTRY_CA_FILE"
                raise AccessRefused("The schema registry", self._shown, why) from None
            raise self._unreachable(f"{type(error).__name__}: {error}") from None
        if response.status_code in (401, 403):
            why = f"{method} {path} was answered with {response.status_code}; look at CIRCLE_SCHEMA_REGISTRY_URL"
            raise AccessRefused("The schema registry", self._shown, why)
        if response.status_code >= 500 or response.status_code == 429:
            raise self._unreachable(f"{method} {path} was answered with {response.status_code}: {response.text[:300]}")
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.status_code not in expected or not isinstance(answer, dict | list):
            raise SchemaRefused(
                f"the schema registry at {self._shown} answered {method} {path} with {response.status_code}: "
                f"{response.text[:300]}"
            )
        return response.status_code, answer

    def _whole(self, answer: Any, name: str, subject: str) -> int:
        number = answer.get(name) if isinstance(answer, dict) else None
        if not isinstance(number, int) or not 0 <= number < 2**32:
            raise self._senseless(subject, "id of 32 bits", answer)
        return number

    def _senseless(self, subject: str, wanted: str, answer: Any) -> SchemaRefused:
        return SchemaRefused(
            f"the schema registry at {self._shown} was asked for {subject}, and gave no {wanted}: {str(answer)[:300]}"
        )

    def _unreachable(self, why: str) -> ServiceUnreachable:
        return ServiceUnreachable("The schema registry", self._shown, f"{why}; is CIRCLE_SCHEMA_REGISTRY_URL right?")
