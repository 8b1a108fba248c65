"""The rights that each process needs on PostgreSQL, as data: one role for each process, with only these grants.

The tables belong to the role that migrates. Only this role makes tables. So `circle replay projections` and
`circle replay import` connect as this role, too.

Guarantee: the queries of a process run with the rights of its role, and at least one query needs each right. The tests
check each query on PostgreSQL. `apply` takes away every right that is not in the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from connectors.errors import AccessRefused, CircleError
from connectors.postgres import Connection, connect
from ops.operate.acls import BRANCHES, Process

ROLE = "circle_{process}"
SCHEMAS = ("public", "sandbox")


class NotMigrated(CircleError):
    """A table of the rights is missing: the database's schema is older than this program."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One row: privileges on tables, or only on `columns` when it names some."""

    process: Process
    tables: tuple[str, ...]
    privileges: tuple[str, ...]
    why: str
    columns: tuple[str, ...] = ()


_OF_THE_LOG = (
    "chores", "codes", "disputes", "event_staff", "events", "observed_seat_locks", "payments", "pools", "refunds",
    "reservations", "schedules", "seat_blocks", "staff_invitations", "ticket_types", "tickets", "transfers",
    "waitlist_entries",
)  # fmt: skip
"""The rows that a reservations worker reads."""


def _rows() -> Iterable[Grant]:
    p = Process
    read, add = ("SELECT",), ("SELECT", "INSERT")
    put, drop = ("SELECT", "INSERT", "UPDATE"), ("SELECT", "DELETE")
    everything, mend = ("SELECT", "INSERT", "UPDATE", "DELETE"), ("SELECT", "UPDATE")

    shown = tuple(sorted({*_OF_THE_LOG, "check_ins", "projection_positions", "seat_claims"} - {"chores"}))
    yield Grant(p.API, shown, read, "what is shown")
    accounts = ("ended_sessions", "recovery_codes", "refresh_tokens", "second_factors", "users")
    yield Grant(p.API, accounts, everything, "accounts and logins")
    yield Grant(p.API, ("known_networks", "sessions"), put, "logins")
    yield Grant(p.API, ("mailed_links",), drop, "links that are used")
    yield Grant(p.API, ("notification_exports",), drop, "the export of an account that is erased")
    yield Grant(p.API, ("erased_users", "security_events"), add, "who is erased; the audit log")
    yield Grant(p.API, ("account_mails",), everything, "mails with links; rows that were put aside")
    yield Grant(p.API, ("alert_history", "figure_history"), read, "alerts and figures, for operators")
    yield Grant(p.API, ("direct_messages",), put, "messages about an account; rows that were put aside")
    yield Grant(p.API, ("fact_redrives",), put, "facts that operators want applied")
    yield Grant(p.API, ("categories",), ("SELECT", "INSERT", "DELETE"), "categories")
    yield Grant(p.API, ("notifications", "webhook_endpoints"), everything, "inboxes; endpoints")
    yield Grant(p.API, ("notification_preferences", "webhook_deliveries"), put, "preferences; redelivery")
    yield Grant(p.API, ("mail_deliveries",), ("SELECT", "UPDATE", "DELETE"), "mails of an account that is erased")

    loaded = (*_OF_THE_LOG, "check_ins", "facts_set_aside", "projection_positions")
    yield Grant(p.RESERVATIONS, tuple(sorted(loaded)), read, "the state it begins with")
    yield Grant(p.RESERVATIONS, ("partition_epochs",), put, "who owns a partition")

    made = tuple(sorted((*_OF_THE_LOG, "projection_positions", "seat_claims")))
    yield Grant(p.PROJECTIONS, made, put, "rows from facts")
    yield Grant(p.PROJECTIONS, ("check_ins", "facts_set_aside"), add, "rows from facts; facts that make none")

    tables = (
        "disputes",
        "erased_users",
        "events",
        "notification_preferences",
        "reservations",
        "ticket_types",
        "tickets",
    )
    yield Grant(p.NOTIFICATIONS, tables, read, "what messages are about, who wants them")
    yield Grant(p.NOTIFICATIONS, ("projection_positions",), put, "how far it is")
    yield Grant(p.NOTIFICATIONS, ("fact_redrives",), mend, "facts that operators want applied")
    yield Grant(p.NOTIFICATIONS, ("notifications", "webhook_events"), add, "inboxes; what to tell")
    yield Grant(p.NOTIFICATIONS, ("mail_deliveries", "webhook_deliveries"), everything, "mails; webhook calls")
    yield Grant(p.NOTIFICATIONS, ("notification_exports",), everything, "the export")
    yield Grant(p.NOTIFICATIONS, ("sent_positions",), put, "how far messages have left")
    yield Grant(p.NOTIFICATIONS, ("inbox_counter",), ("SELECT", "UPDATE"), "the order of the inboxes")
    yield Grant(
        p.NOTIFICATIONS,
        ("account_mails", "direct_messages", "security_events"),
        ("SELECT", "UPDATE", "DELETE"),
        "mails about accounts; what is old goes",
    )
    yield Grant(p.NOTIFICATIONS, ("mailed_links",), ("SELECT", "INSERT", "DELETE"), "the links in mails")
    yield Grant(p.NOTIFICATIONS, ("known_networks", "sessions"), drop, "what is old goes")
    yield Grant(
        process=p.NOTIFICATIONS,
        tables=("users",),
        privileges=read,
        why="mail addresses",
        columns=("id", "email", "name", "email_verified_at"),
    )
    yield Grant(
        process=p.NOTIFICATIONS,
        tables=("users",),
        privileges=("UPDATE",),
        why="rows held while a mail is sent",
        columns=("email_verified_at",),
    )
    yield Grant(
        process=p.NOTIFICATIONS,
        tables=("webhook_endpoints",),
        privileges=read,
        why="whom to call, signed",
        columns=("id", "owner", "url", "event_id", "types", "secret", "enabled", "former_secret", "former_until"),
    )
    yield Grant(
        process=p.NOTIFICATIONS,
        tables=("webhook_endpoints",),
        privileges=("UPDATE",),
        why="endpoints that are gone",
        columns=("enabled", "disabled_why"),
    )

    yield Grant(p.PAYMENTS, ("sandbox.payments", "sandbox.refunds"), put, "the pretend provider's books")
    yield Grant(p.PAYMENTS, ("fact_redrives",), mend, "payments that operators want asked for again")

    yield Grant(p.MONITORING, ("fact_totals", "projection_positions"), put, "totals; how far all are")
    sales = ("events", "payments", "reservations", "ticket_types", "tickets")
    yield Grant(p.MONITORING, ("fact_redrives",), mend, "facts that operators want applied")
    yield Grant(p.MONITORING, sales, read, "sales, as figures")
    yield Grant(p.MONITORING, ("notification_exports",), read, "what waits for its export")
    mails, waits = ("account_mails", "mail_deliveries"), "what waits to be sent"
    yield Grant(p.MONITORING, mails, read, waits, columns=("status", "created_at", "due_at"))
    yield Grant(p.MONITORING, ("webhook_deliveries",), read, waits, columns=("status", "created_at"))
    yield Grant(p.MONITORING, ("alert_history",), everything, "alerts; what is old goes")
    yield Grant(p.MONITORING, ("figure_history",), ("SELECT", "INSERT", "DELETE"), "figures; what is old goes")

    seen = (*_OF_THE_LOG, "check_ins", "erased_users", "facts_set_aside", "notifications", "projection_positions",
            "schema_migrations", "seat_claims")  # fmt: skip
    yield Grant(p.OPERATOR, tuple(sorted(seen)), read, "verify, explain, seats, doctor; follow")
    yield Grant(p.OPERATOR, ("alert_history",), read, "alerts, top")
    yield Grant(p.OPERATOR, ("webhook_endpoints",), read, "follow: whose calls they are", columns=("id", "owner"))
    yield Grant(p.OPERATOR, ("partition_epochs",), mend, "locks of an event whose partition has no owner")
    yield Grant(
        p.OPERATOR, ("direct_messages", "mail_deliveries", "webhook_deliveries"), mend, "dlq: rows that were put aside"
    )
    yield Grant(p.OPERATOR, ("account_mails",), put, "the same; users: their mails")
    yield Grant(p.OPERATOR, ("fact_redrives",), put, "dlq: facts that are applied again")
    yield Grant(
        process=p.OPERATOR,
        tables=("users",),
        privileges=read,
        why="users",
        columns=("id", "email", "role", "email_verified_at"),
    )
    yield Grant(
        process=p.OPERATOR,
        tables=("users",),
        privileges=("UPDATE",),
        why="users promote, verify",
        columns=("role", "email_verified_at"),
    )
    yield Grant(p.OPERATOR, ("mailed_links",), drop, "users verify")
    yield Grant(p.OPERATOR, ("second_factors",), everything, "users enrol-factor, reset-factor")
    yield Grant(p.OPERATOR, ("recovery_codes",), ("SELECT", "INSERT", "DELETE"), "the same")
    yield Grant(p.OPERATOR, ("sessions", "refresh_tokens"), mend, "sessions that end with it")
    yield Grant(p.OPERATOR, ("ended_sessions",), put, "the same")
    yield Grant(p.OPERATOR, ("security_events",), ("INSERT",), "the audit log")
    yield Grant(p.OPERATOR, ("sandbox.payments",), mend, "payments sandbox-…")
    yield Grant(p.OPERATOR, ("sandbox.disputes", "sandbox.refunds"), put, "payments sandbox-…")


def _with_read_side(rows: Iterable[Grant]) -> Iterable[Grant]:
    """The rows, and the read side's: all rights of its branches, each once."""
    of_tables: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
    for row in rows:
        yield row
        for table in row.tables if row.process in BRANCHES else ():
            key = table, row.columns
            of_tables[key] = tuple(dict.fromkeys((*of_tables.get(key, ()), *row.privileges)))
    whole = {table: privileges for (table, columns), privileges in of_tables.items() if not columns}
    for privileges in sorted(set(whole.values())):
        tables = tuple(sorted(table for table, own in whole.items() if own == privileges))
        yield Grant(Process.READ_SIDE, tables, privileges, "the work of its branches")
    for (table, columns), privileges in of_tables.items():
        if columns and not set(privileges) <= set(whole.get(table, ())):
            why = "the work of its branches"
            yield Grant(process=Process.READ_SIDE, tables=(table,), privileges=privileges, why=why, columns=columns)


GRANTS: tuple[Grant, ...] = tuple(_with_read_side(_rows()))
PROCESSES: tuple[Process, ...] = tuple(dict.fromkeys(one.process for one in GRANTS))


def chosen(process: Process | None = None) -> list[Grant]:
    """The rows of one process, or all."""
    return [one for one in GRANTS if process in (None, one.process)]


def role_of(process: Process, role: str = ROLE) -> str:
    """The name of a process's role, as SQL writes it."""
    name = role.format(process=process.value)
    return '"' + name.replace('"', '""') + '"'


def statement(grant: Grant, role: str = ROLE) -> str:
    """A row as SQL."""
    columns = f" ({', '.join(grant.columns)})" if grant.columns else ""
    privileges = ", ".join(one + columns for one in grant.privileges)
    return f"GRANT {privileges} ON {', '.join(grant.tables)} TO {role_of(grant.process, role)};"


def script(grants: Sequence[Grant], role: str = ROLE) -> list[str]:
    """The SQL for existing roles. It takes away their old rights first, so run it in one transaction."""
    lines = []
    for process in dict.fromkeys(one.process for one in grants):
        name = role_of(process, role)
        lines += [f"REVOKE ALL ON ALL TABLES IN SCHEMA {', '.join(SCHEMAS)} FROM {name};"]
        lines += [f"GRANT USAGE ON SCHEMA {', '.join(SCHEMAS)} TO {name};"]
        lines += [statement(one, role) for one in grants if one.process is process]
    return lines


def as_row(grant: Grant, role: str = ROLE) -> dict[str, object]:
    """A row for programs."""
    return {
        "process": grant.process.value,
        "role": role.format(process=grant.process.value),
        "tables": list(grant.tables),
        "columns": list(grant.columns),
        "privileges": list(grant.privileges),
        "why": grant.why,
    }


async def apply(url: str, grants: Sequence[Grant], role: str = ROLE) -> list[str]:
    """Give the roles these rights and take all others away, in one transaction. Returns the roles that it made.

    A new role has no password, so no one can log in with one before ALTER ROLE … PASSWORD. Raises ServiceUnreachable,
    AccessRefused when our own role lacks the right, NotMigrated.
    """
    connection = await connect(url)
    try:
        async with connection.transaction():
            made = [
                process
                for process in dict.fromkeys(one.process for one in grants)
                if await _made(connection, process, role)
            ]
            for line in script(grants, role):
                await connection.execute(line)
    except asyncpg.InsufficientPrivilegeError as error:
        hint = f"{error}; connect as the role that migrates, which may also make roles"
        raise AccessRefused("PostgreSQL", "roles and grants", hint) from None
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise NotMigrated(f"{error}; run `circle migrate` first") from None
    finally:
        await connection.close()
    return [role.format(process=one.value) for one in made]


async def _made(connection: Connection, process: Process, role: str) -> bool:
    name = role.format(process=process.value)
    if await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", name):
        return False
    await connection.execute(f"CREATE ROLE {role_of(process, role)} LOGIN")
    return True
