"""The log's values fit into PostgreSQL: every column fits its field, and every parameter its argument."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connectors.postgres import connect
from connectors.settings import Settings
from connectors.sql_files import queries
from ops.run.services.process import run_coroutine
from pipelines.columns import filled
from pipelines.payments.providers.sandbox import SandboxProvider
from pipelines.payments.requests import ChargeJob, RefundJob
from schemas.codec import MANIFEST

REPOSITORY = Path(__file__).parents[3]
OF_OTHER_DATABASES = (
    "ops/proof/bench/sql/",
    "ops/proof/bench/baselines/sql/",
    "ops/migrations/",
    "ops/rebuild/projections.sql",
)
NARROW = {"integer", "smallint", "real"}
AMOUNT_MAX = 2**63 - 1

SMALL = {
    "api/sql/accounts.sql": {("user_add", 5)},  # beyond all partitions
    "api/sql/notifications.sql": {
        ("notifications_after", 3), ("notification_read", 2), ("notification_delete", 2),  # a partition
    },
    "pipelines/reservations/sql/snapshots.sql": {
        (name, 2 if name == "position" else 1)
        for name in ("position", "event_ids", "deadlines", "former_owner", "raise_epoch", "give_back")
    },  # a partition
    "pipelines/notifications/mail/sql/mail.sql": {("prune_mails", 1)},  # days
    "pipelines/notifications/webhooks/webhooks.sql": {("settle_webhook", 3), ("prune_webhooks", 1)},  # a status, days
    "ops/proof/checker/expected_rows.sql": {("is_in_inbox", 2), ("is_in_inbox", 4)},  # a partition, an index
}  # fmt: skip
"""The parameters that have 32 bits on purpose, and are not cast. All of the checker's first ones are partitions."""

INSERTED = re.compile(r"INSERT INTO [\w.]+(?: AS \w+)? \(([^)]*)\)\s*SELECT \* FROM unnest\(([^)]*)\)")
NAMED = re.compile(r"unnest\(([^)]*)\)\s+AS \w+ \(([^)]*)\)")


def sql_files() -> Iterator[tuple[str, dict[str, str]]]:
    for folder in ("api", "connectors", "ops", "pipelines", "sinks"):
        for path in sorted((REPOSITORY / folder).rglob("*.sql")):
            name = str(path.relative_to(REPOSITORY))
            if not name.startswith(OF_OTHER_DATABASES):
                yield name, filled(queries(path))


def fields_of(*types: str) -> set[str]:
    """The fields of facts and notifications that are of this Avro type, by name."""
    entries: list[dict[str, Any]] = json.loads(MANIFEST.read_text())["schemas"]
    records = [entry["schema"] for entry in entries if entry["schema"]["namespace"] != "circle.commands"]
    fields = [field for record in records for field in record["fields"]]
    return {field["name"] for field in fields if any(field["type"] in (kind, ["null", kind]) for kind in types)}


def parts(text: str) -> list[str]:
    return [part.strip().strip('"') for part in text.split(",")]


async def prepared(settings: Settings) -> dict[tuple[str, str, int], str]:
    connection = await connect(settings.postgres_url)
    found = {}
    try:
        for file, texts in sql_files():
            for name, text in texts.items():
                statement = await connection.prepare(text)
                for number, kind in enumerate(statement.get_parameters(), 1):
                    found[file, name, number] = kind.name
                if "CREATE TEMPORARY TABLE" in text:
                    await connection.execute(text)  # the queries after it read it
    finally:
        await connection.close()
    return found


async def columns(settings: Settings) -> dict[tuple[str, str], str]:
    connection = await connect(settings.postgres_url)
    try:
        rows = await connection.fetch(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema IN ('public', 'sandbox')"
        )
    finally:
        await connection.close()
    return {(row[0], row[1]): row[2] for row in rows}


def test_no_parameter_of_any_query_is_narrower_than_it_was_meant_to_be(settings: Settings) -> None:
    found = run_coroutine(prepared(settings))
    small = {
        key
        for key, kind in found.items()
        if kind in ("int4", "int2", "float4") and (key[0] != "ops/proof/checker/expected_rows.sql" or key[2] != 1)
    }
    written = {(file, name): text for file, texts in sql_files() for name, text in texts.items()}
    small -= {key for key in small if f"${key[2]}::integer" in written[key[0], key[1]]}  # as narrow as it says
    allowed = {(file, *one) for file, names in SMALL.items() for one in names}
    assert len(found) > 400
    assert small - allowed == set(), "cast it (::bigint), or say here why 32 bits are enough"
    assert allowed - small == set(), "these are not small any more"


def test_every_column_holds_what_its_field_may_hold_on_the_log(settings: Settings) -> None:
    wide = fields_of("long")
    of_fields = {key: kind for key, kind in run_coroutine(columns(settings)).items() if key[1] in wide}
    assert len(of_fields) > 40
    assert {key: kind for key, kind in of_fields.items() if kind in NARROW} == {}
    derived = {
        key: kind
        for key, kind in run_coroutine(columns(settings)).items()
        if key[1].endswith(("_minor", "_at", "_offset")) and kind in NARROW
    }
    assert derived == {}, "sums of amounts, and times"


def test_every_array_that_is_written_has_the_width_of_its_fields() -> None:
    wide, compared = fields_of("long"), 0
    for file, texts in sql_files():
        for query, text in texts.items():
            pairs = [(names, kinds) for names, kinds in INSERTED.findall(text)]
            pairs += [(names, kinds) for kinds, names in NAMED.findall(text)]
            for names, kinds in pairs:
                assert len(parts(names)) == len(parts(kinds)), f"{file}: {query}"
                for name, kind in zip(parts(names), parts(kinds), strict=True):
                    if name in wide or name.endswith(("_minor", "_at", "_offset", "amount_less")):
                        compared += 1
                        assert kind.endswith("::bigint[]"), f"{file}: {query}: {name} is {kind}"
    assert compared > 80


def test_the_sandbox_moves_the_largest_amount_that_the_log_can_hold(settings: Settings) -> None:
    async def move() -> list[int]:
        provider = SandboxProvider(settings.postgres_url)
        try:
            moved = []
            for number, (amount, part) in enumerate(((2_400_000_000, 2_400_000_000), (AMOUNT_MAX, AMOUNT_MAX - 1))):
                charge = ChargeJob(
                    event_id="event",
                    reservation_id=f"r{number}",
                    command_id="c",
                    attempt_id=f"attempt-{number}",
                    token="tok_ok",
                    amount_minor=amount,
                    currency="IDR",
                    asked_at=0,
                )
                charged = await provider.capture(charge)
                moved.append(charged.amount_minor)
                refund = RefundJob(
                    event_id="event",
                    reservation_id=f"r{number}",
                    payment_id=charged.payment_id,
                    amount_minor=part,
                    currency="IDR",
                    asked_at=0,
                )
                moved.append((await provider.refund(refund)).amount_minor)
            return moved
        finally:
            await provider.close()

    assert run_coroutine(move()) == [2_400_000_000, 2_400_000_000, AMOUNT_MAX, AMOUNT_MAX - 1]
