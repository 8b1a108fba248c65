"""The OpenAPI 3.1 document, made from the table of routes and the structs. So it describes exactly what is served."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from api.fairness.limits import IDEMPOTENCY_KEY_CHARS_MAX, PREFER_WAIT_DEFAULT_S, PREFER_WAIT_MAX_S
from api.http.problem import CONTENT_TYPE, KINDS, TYPE_PREFIX
from api.http.routing import Access, Route

REF = "#/components/schemas/{name}"
_OF_OPERATORS = ("forbidden", "rate-limited", "unavailable")
_PARAMETER = re.compile(r"<(\w+)>")
_GENERIC = re.compile(r"^(\w+)_(\w+)_$")  # msgspec's name of Page[EventOut] is Page_EventOut_

TAGS = {
    "accounts": "Accounts, sessions and tokens.",
    "categories": "The kinds of events.",
    "events": "Events, their programme and their ticket types.",
    "inventory": "Pools, codes, blocked places.",
    "waiting lists": "Waiting for sold-out places.",
    "live": "Streams of server-sent events.",
    "reservations": "Holds, payments, cancellations.",
    "orders": "The orders of the organizer's own events.",
    "payments": "Webhooks of payment providers.",
    "tickets": "Tickets and their documents.",
    "door": "Staff, scans and counts at the door.",
    "notifications": "The inbox and its preferences.",
    "webhooks": "Calls from the platform to organizers' servers.",
    "platform": "Health, metrics, documents of this API.",
}
_WHO = {
    Access.PUBLIC: "Every client may call it.",
    Access.OPTIONAL: "Every client may call it; a client with a token sees more.",
    Access.USER: "Any account may call it.",
    Access.ORGANIZER: "Organizers and admins may call it.",
    Access.ADMIN: "Admins may call it.",
    Access.OPERATOR: "Operators may call it.",
}
_MEDIA = {
    "text/plain": "Text.",
    "text/html": "A page.",
    "text/csv": "A table: one line for each row.",
    "text/calendar": "A calendar entry (RFC 5545).",
    "text/event-stream": "Server-sent events.",
    "image/svg+xml": "A picture.",
    "image/png": "A picture.",
    "application/pdf": "A page to print.",
}

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. `field` or `errors` name the wrong fields; further members give details.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "enum": []},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "field": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
        "reservation_id": {"type": "string", "format": "uuid"},
        "position": {
            "type": "object",
            "required": ["partition", "offset"],
            "properties": {"partition": {"type": "integer"}, "offset": {"type": "integer"}},
        },
        "as_of": {
            "type": "object",
            "description": "Of sold-out: the position on the log at which too few places were free.",
            "required": ["partition", "offset"],
            "properties": {"partition": {"type": "integer"}, "offset": {"type": "integer"}},
        },
    },
}


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The whole document: every route, every shape, every problem.

    Each shape has one name, and client generators make a class of it. Parameters do not become classes.
    """
    shapes: list[Any] = []
    for route in routes:
        shapes += [shape for shape in (route.body, route.query, *route.answers.values()) if shape is not None]
    schemas, components = msgspec.json.schema_components(shapes, ref_template=REF)
    by_shape = {repr(shape): schema for shape, schema in zip(shapes, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, by_shape, components)
    queries = {_name_in(by_shape[repr(route.query)]) for route in routes if route.query is not None}
    components = {name: shape for name, shape in components.items() if name not in queries}
    problem = PROBLEM_SCHEMA | {
        "properties": PROBLEM_SCHEMA["properties"]
        | {"type": {"type": "string", "enum": [TYPE_PREFIX + slug for slug in sorted(KINDS)]}}
    }
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "General Circle",
            "version": version,
            "description": "Events and tickets. Amounts are integers in minor units, times are RFC 3339, lists are "
            "cursor pages, errors are RFC 9457 problem documents. Every write goes to a log; 202 means that the log "
            "has stored it and that it is not decided yet.",
        },
        "servers": [{"url": "/", "description": "The server of this document."}],
        "tags": [{"name": name, "description": TAGS[name]} for name in sorted({route.tag for route in routes})],
        "paths": paths,
        "components": {
            "schemas": components | {"Problem": problem},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "operator": {"type": "http", "scheme": "bearer", "description": "The operator's token."},
                "operatorPassword": {"type": "http", "scheme": "basic", "description": "The token as the password."},
            },
        },
    }
    named: dict[str, Any] = _renamed(whole, {name: _class_name(name) for name in components})
    return named


def _renamed(node: Any, names: dict[str, str]) -> Any:
    """The document with each component, its title and the references to it under its new name."""
    if isinstance(node, list):
        return [_renamed(one, names) for one in node]
    if not isinstance(node, dict):
        return node
    renamed = {key: _renamed(value, names) for key, value in node.items()}
    if isinstance(renamed.get("$ref"), str):
        renamed["$ref"] = REF.format(name=names.get(_name_in(renamed), _name_in(renamed)))
    if isinstance(renamed.get("schemas"), dict):
        renamed["schemas"] = {
            names.get(name, name): shape | {"title": names.get(name, name)}
            for name, shape in renamed["schemas"].items()
        }
    return renamed


def _class_name(name: str) -> str:
    """The name of a component: EventOutPage for Page[EventOut]."""
    generic = _GENERIC.match(name)
    return f"{generic[2]}{generic[1]}" if generic else name


def _name_in(reference: dict[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]


def _operation(route: Route, by_shape: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "description": f"{route.summary}. {_WHO[route.access]}",
        "tags": [route.tag],
        "x-access": route.access.value,
        "parameters": [*_path(route), *_query(route, by_shape, components), *_headers(route)],
        "responses": _responses(route, by_shape),
    }
    operation["security"] = [] if route.access is Access.PUBLIC else [{"token": []}]
    if route.access is Access.OPTIONAL:
        operation["security"].append({})
    if route.access is Access.OPERATOR:
        operation["security"] += [{"operator": []}, {"operatorPassword": []}]
    if route.body is not None:
        schema = by_shape[repr(route.body)]
        content = {"schema": schema, "example": route.body.EXAMPLE}
        operation["requestBody"] = {"required": not route.body_optional, "content": {"application/json": content}}
    return operation


def _operation_id(route: Route) -> str:
    if route.operation:
        return route.operation
    words = re.findall(r"[a-z]+", _PARAMETER.sub(r"by-\1", route.path).removeprefix("/v1"))
    return "_".join([route.method.lower(), *words])


def _path(route: Route) -> Iterable[dict[str, Any]]:
    for name in _PARAMETER.findall(route.path):
        schema = {"type": "string"} | ({"format": "uuid"} if name.endswith("_id") else {})
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query(route: Route, by_shape: dict[str, Any], components: dict[str, Any]) -> Iterable[dict[str, Any]]:
    if route.query is None:
        return
    shape = components[_name_in(by_shape[repr(route.query)])]
    for name, schema in shape["properties"].items():
        yield {"name": name, "in": "query", "required": name in shape["required"], "schema": schema}


def _headers(route: Route) -> Iterable[dict[str, Any]]:
    if route.idempotency_key:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": route.idempotency_key == "required",
            "description": "Send the same key on every retry of one request. If it is required and missing: 400 "
            "missing-header. If another request used the key: 422 idempotency-key-reused.",
            "schema": {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_CHARS_MAX},
        }
    if route.signature:
        yield {
            "name": route.signature,
            "in": "header",
            "required": True,
            "description": "Signs the body, byte for byte, and the time of sending. Missing: 400 "
            "missing-header. Wrong or too old: 400 invalid-signature.",
            "schema": {"type": "string"},
        }
    if route.prefer:
        yield {
            "name": "Prefer",
            "in": "header",
            "required": False,
            "description": "respond-async: do not wait for the outcome. wait=n: wait up to n seconds, at most "
            f"{PREFER_WAIT_MAX_S:.0f}; {PREFER_WAIT_DEFAULT_S:.0f} without the header. receipt: an outcome about a "
            "reservation also has the header Circle-Receipt, the signed position that every 202 has.",
            "schema": {"type": "string", "examples": ["respond-async", "wait=10, receipt"]},
        }
    if route.media_type == "text/event-stream":
        yield {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "description": "The id of the last event that the client has; the stream continues after it. `start`: all.",
            "schema": {"type": "string"},
        }


def _responses(route: Route, by_shape: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, shape in route.answers.items():
        responses[str(status)] = {"description": _description(route, status, shape)}
        if shape is not None:
            media = route.media_type if status < 300 else "application/json"
            responses[str(status)]["content"] = {media: {} if shape is bytes else {"schema": by_shape[repr(shape)]}}
    if route.cacheable:
        responses["304"] = {"description": "It still has the ETag that If-None-Match names."}
    slugs: dict[int, list[str]] = {}
    for slug in _problems(route):
        slugs.setdefault(KINDS[slug][0], []).append(slug)
    for status, names in sorted(slugs.items()):
        responses[str(status)] = {
            "description": "Problem: " + ", ".join(names),
            "content": {CONTENT_TYPE: {"schema": {"$ref": REF.format(name="Problem")}}},
        }
    return responses


def _problems(route: Route) -> list[str]:
    """A route's own problems, and those that all routes of its kind have."""
    slugs = [*route.problems, *(_OF_OPERATORS if route.access is Access.OPERATOR else ())]
    if route.access is not Access.PUBLIC:
        slugs.append("unauthorized")
    if route.access in (Access.ORGANIZER, Access.ADMIN):
        slugs.append("forbidden")
    if route.body is not None or route.query is not None or route.writes:
        slugs.append("invalid-request")
    if route.body is not None:
        slugs += ["malformed-json", "body-too-large", "unsupported-media-type"]
    elif route.writes:  # a client that sends a body although the route takes none gets a 422
        slugs += ["malformed-json", "body-too-large"]
    if route.idempotency_key == "required":
        slugs.append("missing-header")
    if route.idempotency_key or route.media_type == "text/event-stream":
        slugs.append("invalid-header")
    if "_id>" in route.path and "not-found" not in slugs:
        slugs.append("not-found")
    if route.writes or route.reads:
        slugs.append("rate-limited")
    if route.prefer and route.writes:
        slugs += ["busy", "not-acknowledged"]
    if route.path.startswith("/v1") or route.path == "/readyz":
        slugs += ["unavailable", "busy", "too-many-at-once"]
    return list(dict.fromkeys(slugs))


def _description(route: Route, status: int, shape: Any) -> str:
    """The description of an answer, from its struct's docstring, or from its media type."""
    known = {202: "The request is on the log, not decided yet; Location is the address of its outcome.", 204: "Done."}
    if status in known:
        return known[status]
    origin = getattr(shape, "__origin__", shape)  # Page, of Page[EventOut]
    if isinstance(origin, type) and issubclass(origin, msgspec.Struct):
        return (origin.__doc__ or "").strip().split("\n")[0]
    return _MEDIA.get(route.media_type, "A JSON object.")
