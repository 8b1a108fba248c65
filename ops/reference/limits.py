"""The page of limits: what a client meets, then each figure of the limit modules with its reason.

A reason is the comment after a constant, or the string below it.
"""

from __future__ import annotations

import ast
import inspect
import io
import tokenize
from collections.abc import Iterator
from types import ModuleType

from api.fairness import limits as api
from api.fairness import rate_limits as rates
from connectors.kafka import BATCH_RECORDS_MAX
from ops.reference.markdown import WRITTEN, table, text
from pipelines.reservations.core import limits as core
from schemas.ids import DAY_S, MS_PER_S

INTRODUCTION = """\
Past a limit the answer is a problem document with a clear status: 413, 422, 429 or 503 with `Retry-After`.

The page has the limits that a client meets, and all constants of the modules named below. Bounds of one module's own
work, such as the turns of webhook calls or the sizes of decoded records, are constants of that module.
"""
RATES = """\
The rates of writes, reads and refusals are those of one API process; the other rates hold for all processes together.
`CIRCLE_RATE_LIMIT_SCALE` multiplies them.
"""
MODULES: dict[str, ModuleType] = {
    "The HTTP API": api,
    "Rates": rates,
    "Reservations and events": core,
}
KB, MB = 1024, 1024 * 1024
MINUTE_S, HOUR_S = 60, 3_600
MINUTES_FROM_S = 180  # shorter times are read as seconds


def page() -> str:
    """The limits that a client meets, and all constants of the limit modules."""
    parts = ["# Limits\n", f"{WRITTEN}\n", INTRODUCTION, table(("limit", "value"), met()), RATES]
    for title, module in MODULES.items():
        path = module.__name__.replace(".", "/") + ".py"
        rows = [_row(name, getattr(module, name), why) for name, why in reasons(module).items()]
        parts += [f"## {title}\n", f"From [{path}](../../../{path}).\n", table(("name", "value", "why"), rows)]
    return "\n".join(parts)


def _row(name: str, value: object, why: str) -> tuple[str, str, str]:
    said = f"{value.name}: {why[:1].lower()}{why[1:]}" if isinstance(value, rates.Rate) else why
    return f"`{name}`", figure(name, value), text(said)


def met() -> list[tuple[str, str]]:
    """The limits that a client meets, in words."""
    unpaid = f"within {figure('UNPAID_WINDOW_S', core.UNPAID_WINDOW_S)}, then"
    return [
        ("body, headers", f"{api.BODY_BYTES_MAX // KB} KB, {api.HEADER_BYTES_MAX // KB} KB"),
        (
            "time to receive a request",
            f"{api.HEAD_TIMEOUT_S:g} s for its head, {api.REQUEST_TIMEOUT_S} s in all, from its first byte",
        ),
        (
            "time to read an answer",
            f"{api.SEND_GRACE_S:g} s, and a second more for each {api.READ_BYTES_PER_S // KB} KB",
        ),
        ("open connections of one API process", f"{api.CONNECTIONS_MAX:,}, half of them of one network, then 503"),
        ("`Prefer: wait`", f"{api.PREFER_WAIT_DEFAULT_S:g} s by default, {api.PREFER_WAIT_MAX_S:g} s at most"),
        (
            "acknowledgement by the log",
            f"{api.DELIVERY_TIMEOUT_MS / MS_PER_S:g} s, then 503: the same key is safe to send again",
        ),
        ("requests that wait for the log, in one API process", f"{api.IN_FLIGHT_MAX:,}, then 503"),
        ("tickets in one order", f"{core.SEATS_PER_ORDER_MAX}"),
        ("tickets of one event for one user", f"set by the organizer, at most {core.TICKETS_PER_USER_MAX:,}"),
        ("holds of one mailbox and event that ran out", f"{core.HOLDS_UNPAID_MAX} {unpaid} `holds-exhausted`"),
        ("declined cards of one mailbox and event", f"{core.CARDS_DECLINED_MAX} {unpaid} `payments-exhausted`"),
        (
            "hold",
            f"{core.HOLD_TTL_S_MIN} s to {figure('HOLD_TTL_S_MAX', core.HOLD_TTL_S_MAX)}, set by the organizer",
        ),
        ("seats of one event", f"{core.SEATS_PER_EVENT_MAX:,}; older events that have more stay as they are"),
        (
            "seats of one ticket type",
            f"{core.SEATS_PER_SECTION_MAX:,}; {core.ROWS_MAX:,} rows of at most {core.SEATS_PER_ROW_MAX}",
        ),
        ("places of one general admission", f"{core.CAPACITY_MAX:,}"),
        ("ticket types of one event", f"{core.TICKET_TYPES_PER_EVENT_MAX}"),
        (
            "programme of one event",
            f"{core.ACTIVITIES_PER_EVENT_MAX} activities, {api.PROGRAMME_BYTES_MAX:,} bytes together",
        ),
        (
            "how long a rejected reservation's key gives the same answer",
            f"{figure('IDEMPOTENCY_WINDOW_S', core.IDEMPOTENCY_WINDOW_S)} of log time",
        ),
        (
            "access token, refresh token",
            (
                f"{figure('ACCESS_TOKEN_TTL_S', api.ACCESS_TOKEN_TTL_S)}, "
                f"{figure('REFRESH_TOKEN_TTL_S', api.REFRESH_TOKEN_TTL_S)}"
            ),
        ),
        ("page of a list", f"{api.PAGE_ITEMS_DEFAULT} by default, {api.PAGE_ITEMS_MAX} at most"),
        ("live streams of one API process", f"{api.SSE_CLIENTS_MAX:,}"),
        (
            "answers read from the log, in one API process",
            (
                f"{api.HISTORY_AT_ONCE_MAX} at a time, {api.HISTORY_RECORDS_MAX:,} records and "
                f"{api.HISTORY_SECONDS_MAX:g} s for one, then 503"
            ),
        ),
        ("scans of one device in one batch", f"{api.SCANS_PER_BATCH_MAX}"),
        ("writes of one user", rate(rates.WRITES)),
        (
            "reads of one user; without a token, from one address",
            f"{rate(rates.READS)}; {rate(rates.ADDRESS_READS)}",
        ),
        (
            "a read counts as",
            (
                f"{rates.READ_COST}; a search {rates.SEARCH_COST} more, a seat map 1 more for each "
                f"{rates.SEAT_BYTES_PER_READ:,} bytes, a drawn ticket {rates.DRAWING_COST} more, "
                f"an answer from the log {rates.HISTORY_COST} more"
            ),
        ),
        (
            "refusals sent to one client at once, and the longest pause before one",
            f"{rate(rates.REFUSALS)}; {rates.PAUSE_MAX_S:g} s",
        ),
        (
            "logins to one account, from one address",
            f"{rate(rates.ACCOUNT_LOGINS)}; {rate(rates.ADDRESS_LOGINS)}",
        ),
        (
            "registrations of one account, from one address",
            f"{rate(rates.ACCOUNT_REGISTRATIONS)}; {rate(rates.REGISTRATIONS)}",
        ),
        ("records in one batch of a dataflow", f"{BATCH_RECORDS_MAX:,}"),
    ]


def rate(of: rates.Rate) -> str:
    """A rate in words."""
    each = next(
        f"{of.per_s * seconds:,g} {unit}"
        for seconds, unit, least in ((1, "a second", 0.1), (MINUTE_S, "a minute", 1), (HOUR_S, "an hour", 0))
        if of.per_s * seconds >= least
    )
    return f"{each}, {of.burst:,} at once"


def figure(name: str, value: object) -> str:
    """A constant's value, in the unit that its name ends with."""
    words = name.split("_")
    if isinstance(value, rates.Rate):
        return rate(value)
    assert isinstance(value, int | float), f"{name} is no figure"
    if "BYTES" in words:
        size = next((f"{value // of:,} {unit}" for of, unit in ((MB, "MB"), (KB, "KB")) if value % of == 0), "")
        return (size or f"{value:,} bytes") + (" a second" if name.endswith("PER_S") else "")
    if "MS" in words:
        return f"{value:,g} ms"
    if {"S", "SECONDS"} & set(words):
        return next(
            (
                f"{value // of:,g} {unit}{'s' if value > of else ''}"
                for of, unit, least in ((DAY_S, "day", 0), (HOUR_S, "hour", 0), (MINUTE_S, "minute", MINUTES_FROM_S))
                if value % of == 0 and value >= least
            ),
            f"{value:,g} s",
        )
    return f"{value:,}"


def reasons(module: ModuleType) -> dict[str, str]:
    """Each constant of a module and the reason for its value, "" without one."""
    source = inspect.getsource(module)
    comments = dict(_comments(source))
    found: dict[str, str] = {}
    body = ast.parse(source).body
    for place, statement in enumerate(body):
        following = body[place + 1] if place + 1 < len(body) else None
        for name in _constants(statement):
            lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
            found[name] = " ".join(comments[line] for line in lines if line in comments) or _string(following)
    return found


def _constants(statement: ast.stmt) -> Iterator[str]:
    """The names in capitals that a statement assigns."""
    if not isinstance(statement, ast.Assign):
        return
    for target in statement.targets:
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        yield from (one.id for one in names if isinstance(one, ast.Name) and one.id.isupper())


def _string(statement: ast.stmt | None) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return " ".join(str(statement.value.value).split())
    return ""


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Each comment behind code, by its line. A comment on a line of its own belongs to no constant."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip():
            yield token.start[0], token.string.lstrip("# ")
