"""The OpenAPI 3.1 document, made from the table of routes and the structs: what is served is what is described."""

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
    "categories": "What kinds of events there are.",
    "events": "Events, their programme and what they sell.",
    "inventory": "Pools, codes, blocked places.",
    "waiting lists": "Places that people wait for.",
    "live": "Streams of news.",
    "reservations": "Holds, payments, cancellations.",
    "orders": "What was sold of one's own event, and to whom.",
    "payments": "What payment providers tell.",
    "tickets": "Tickets and their documents.",
    "door": "Staff, scans and counts at the door.",
    "notifications": "The inbox and its preferences.",
    "webhooks": "Calls to organizers' servers.",
    "platform": "Health, metrics, documents of this API.",
}
_WHO = {
    Access.PUBLIC: "Anybody may call it.",
    Access.OPTIONAL: "Anybody may call it; a token shows more.",
    Access.USER: "Any account may call it.",
    Access.ORGANIZER: "Organizers and admins may call it.",
    Access.ADMIN: "Admins may call it.",
    Access.OPERATOR: "Operators may call it.",
}
_MEDIA = {
    "text/plain": "Text.",
    "text/html": "A page.",
    "text/csv": "A table, a row a line.",
    "text/calendar": "A calendar entry (RFC 5545).",
    "text/event-stream": "Server-sent events.",
    "image/svg+xml": "A picture.",
    "image/png": "A picture.",
    "application/pdf": "A page to print.",
}

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. `field` or `errors` name what is wrong; further members say more.",
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
    },
}


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The whole document. Every route, every shape, every problem.

    Each shape has one name, which generators of clients make a class of; parameters are no classes.
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
            "cursor pages, errors are RFC 9457 problem documents. Every write goes onto a log; 202 means that it is "
            "durable there and not decided yet.",
        },
        "servers": [{"url": "/", "description": "Where this document is."}],
        "tags": [{"name": name, "description": TAGS[name]} for name in sorted({route.tag for route in routes})],
        "paths": paths,
        "components": {
            "schemas": components | {"Problem": problem},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "operator": {"type": "http", "scheme": "bearer", "description": "The operator's token."},
                "operatorPassword": {"type": "http", "scheme": "basic", "description": "It, as the password."},
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
    """What a component is called: EventOutPage for Page[EventOut]."""
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
            "description": "The same on every retry of one request. Missing where it is required: 400 "
            "missing-header. The same key with another body: 422 idempotency-key-reused.",
            "schema": {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_CHARS_MAX},
        }
    if route.signature:
        yield {
            "name": route.signature,
            "in": "header",
            "required": True,
            "description": "Vouches for the body as it was sent, byte for byte, and for when. Missing: 400 "
            "missing-header. Not right, or too old: 400 invalid-signature.",
            "schema": {"type": "string"},
        }
    if route.prefer:
        yield {
            "name": "Prefer",
            "in": "header",
            "required": False,
            "description": "respond-async: do not wait for the outcome. wait=n: wait up to n seconds, at most "
            f"{PREFER_WAIT_MAX_S:.0f}; {PREFER_WAIT_DEFAULT_S:.0f} without the header. receipt: an outcome about a "
            "reservation has the header Circle-Receipt too, the signed position that every 202 has.",
            "schema": {"type": "string", "examples": ["respond-async", "wait=10, receipt"]},
        }
    if route.media_type == "text/event-stream":
        yield {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "description": "The id of the last event that was seen, to go on behind it; `start` for everything.",
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
        responses["304"] = {"description": "It is as it was when it had the ETag that If-None-Match names."}
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
    """A route's own problems and those of its kind."""
    slugs = [*route.problems, *(_OF_OPERATORS if route.access is Access.OPERATOR else ())]
    if route.access is not Access.PUBLIC:
        slugs.append("unauthorized")
    if route.access in (Access.ORGANIZER, Access.ADMIN):
        slugs.append("forbidden")
    if route.body is not None or route.query is not None or route.writes:
        slugs.append("invalid-request")
    if route.body is not None:
        slugs += ["malformed-json", "body-too-large", "unsupported-media-type"]
    elif route.writes:  # whoever sends a body where none is expected is told so
        slugs += ["malformed-json", "body-too-large"]
    if route.idempotency_key == "required":
        slugs.append("missing-header")
    if route.idempotency_key or route.media_type == "text/event-stream":
        slugs.append("invalid-header")
    if "_id>" in route.path and "not-found" not in slugs:
        slugs.append("not-found")
    if route.writes:
        slugs.append("rate-limited")
    if route.prefer and route.writes:
        slugs += ["busy", "not-acknowledged"]
    if route.path.startswith("/v1") or route.path == "/readyz":
        slugs += ["unavailable", "busy", "too-many-at-once"]
    return list(dict.fromkeys(slugs))


def _description(route: Route, status: int, shape: Any) -> str:
    """What an answer is, from its struct's docstring; a page and a document say what they are by themselves."""
    known = {202: "On the log, not decided yet; Location says where to look.", 204: "Done."}
    if status in known:
        return known[status]
    origin = getattr(shape, "__origin__", shape)  # Page, of Page[EventOut]
    if isinstance(origin, type) and issubclass(origin, msgspec.Struct):
        return (origin.__doc__ or "").strip().split("\n")[0]
    return _MEDIA.get(route.media_type, "A JSON object.")
