"""`circle topics …`, `circle migrate`, `circle kafka resolve`: create what the processes need."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from connectors.schema_registry import apply_schemas
from connectors.topics import apply_topics, describe_topics
from ops.cli import topic_records
from ops.migrations import migrate as run_migrations
from ops.operate import acls
from ops.output import AsJson, DryRun, emit_json, emit_table
from ops.run.discovery import operator_settings
from ops.run.services import kafka_classes, kafka_jars
from schemas.topics import DAY_MS, all_topics

topics = typer.Typer(no_args_is_help=True, help="Create and show the topics, and read their records.")
kafka = typer.Typer(no_args_is_help=True, help="Apache Kafka on this machine.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    topic_records.add_to(topics)
    app.add_typer(topics, name="topics")
    app.add_typer(kafka, name="kafka")
    app.command()(migrate)


@topics.command("apply")
def topics_apply(json: AsJson = False, dry_run: DryRun = False) -> int:
    """Create missing topics, and correct a configuration that differs. Never changes a partition count.

    Registers the schemas of all records, if CIRCLE_SCHEMA_REGISTRY_URL names a registry.
    """
    settings = operator_settings()
    applied = apply_topics(settings, partitions=settings.partitions, dry_run=dry_run)
    schemas = apply_schemas(settings, dry_run=dry_run)
    if json:
        emit_json({"dry_run": dry_run, "topics": applied, "schemas": schemas})
        return 0
    rows = [(one.topic, one.partitions, one.change) for one in applied]
    emit_table(("topic", "partitions", "would be" if dry_run else "change"), rows)
    if schemas:
        missing = sum(one.missing for one in schemas)
        done = "would be registered" if dry_run else "were registered"
        print(f"{sum(one.schemas for one in schemas)} schemas of {len(schemas)} records; {missing} {done}")
    return 0


@topics.command("list")
def topics_list(json: AsJson = False) -> int:
    """Show the topics as they are specified. Asks no broker."""
    specs = all_topics(operator_settings(needed=False).partitions)
    if json:
        fields = ("name", "key", "partitions", "retention_ms", "holds")
        emit_json([{name: getattr(spec, name) for name in fields} for spec in specs])
    else:
        rows = [(s.name, s.key, s.partitions, _retention(s.retention_ms), s.holds) for s in specs]
        emit_table(("topic", "key", "partitions", "retention", "holds"), rows)
    return 0


@topics.command("describe")
def topics_describe(json: AsJson = False) -> int:
    """Show the topics as the broker has them. Exit 1 when one is missing."""
    settings = operator_settings()
    states = describe_topics(settings, partitions=settings.partitions)
    if json:
        emit_json(states)
    else:
        rows = [
            (s.name, s.partitions or "missing", s.replication, " ".join(f"{k}={v}" for k, v in s.config.items()))
            for s in states
        ]
        emit_table(("topic", "partitions", "replication", "configuration"), rows)
    return 0 if all(state.partitions for state in states) else 1


@topics.command("acls")
def topics_acls(
    process: Annotated[acls.Process | None, typer.Option(help="Only the rights of this process.")] = None,
    principal: Annotated[str, typer.Option(help="The principal's name; {process} is replaced.")] = acls.PRINCIPAL,
    apply: Annotated[bool, typer.Option("--apply", help="Give the rights on the cluster; takes none away.")] = False,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Show the rights that each process needs on Kafka, as `kafka-acls` commands. Asks no broker without --apply."""
    rights = acls.chosen(process)
    if apply:
        settings = operator_settings()
        if not dry_run:
            acls.apply(settings, rights, principal)
    if json:
        emit_json([acls.as_row(one, principal) for one in rights])
        return 0
    if apply:
        print(f"{len(rights)} rights {'would be' if dry_run else 'are'} allowed")
        return 0
    address = operator_settings(needed=False).kafka_bootstrap_servers
    for one in rights:
        print(f"kafka-acls --bootstrap-server {address} --command-config FILE {acls.command(one, principal)}")
    return 0


@kafka.command("resolve")
def kafka_resolve(json: AsJson = False) -> int:
    """Download Apache Kafka's pinned jars with Maven, and archive their classes: a start takes half the time then."""
    java = kafka_jars.java()
    jars = kafka_jars.resolve()
    kafka_classes.archive()
    names = sorted(path.name for path in Path(jars).glob("*.jar"))
    if json:
        emit_json({"version": kafka_jars.kafka_version(), "directory": str(jars), "jars": names, "java": java})
    else:
        print(f"Apache Kafka {kafka_jars.kafka_version()}: {len(names)} jars in {jars}, {java}")
    return 0


def migrate(json: AsJson = False, dry_run: DryRun = False) -> int:
    """Bring the database's schema up to date."""
    applied = asyncio.run(run_migrations(operator_settings().postgres_url, dry_run=dry_run))
    if json:
        emit_json({"dry_run": dry_run, "migrations": [{"number": m.number, "name": m.name} for m in applied]})
    elif applied:
        word = "would be applied" if dry_run else "applied"
        emit_table(("number", "name", ""), [(f"{m.number:04d}", m.name, word) for m in applied])
    else:
        print("the schema is up to date")
    return 0


def _retention(retention_ms: int) -> str:
    return "forever" if retention_ms < 0 else f"{retention_ms // DAY_MS} days"
