"""`circle dlq …`: records that were put aside."""

from enum import StrEnum
from typing import Annotated

import typer

from connectors.settings import Settings
from ops.cli.output import AsJson, DryRun, emit_json, emit_table
from ops.operate.dead_letters import (
    ORIGINS,
    REDRIVEN_AT_ONCE_MAX,
    NoSuchLetter,
    Read,
    choose,
    letters,
    opened,
    redrive,
)
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS

LIST_DEFAULT = 50
ERROR_SHOWN_MAX = 60
REDRIVEN_DEFAULT = 100

dlq = typer.Typer(no_args_is_help=True, help="Dead letters: records that could not be read or processed.")


class Origin(StrEnum):
    """The topics that have dead letters."""

    COMMANDS = COMMANDS
    FACTS = FACTS
    NOTIFICATIONS = NOTIFICATIONS


Topic = Annotated[Origin, typer.Argument(help="The topic they come from.")]

Offset = Annotated[int, typer.Argument(help="The letter, as in the list.", min=0)]
Offsets = Annotated[list[int] | None, typer.Argument(help="Letters, as in the list; or --all.")]
Everything = Annotated[bool, typer.Option("--all", help="Everything that was not redriven yet.")]
Limit = Annotated[int, typer.Option(help="At most so many, the oldest first.", min=1, max=REDRIVEN_AT_ONCE_MAX)]


def register(app: typer.Typer) -> None:
    app.add_typer(dlq, name="dlq")


@dlq.command("list")
def list_letters(
    topic: Annotated[Origin | None, typer.Option(help="Only those of this topic.")] = None,
    limit: Annotated[int, typer.Option(help="The latest so many.", min=1, max=10_000)] = LIST_DEFAULT,
    json: AsJson = False,
) -> int:
    """The latest dead letters, oldest first."""
    found = letters(Settings.from_env(), ORIGINS if topic is None else (topic.value,))
    shown = sorted((read.letter for read in found), key=lambda one: one.put_aside_at)[-limit:]
    if json:
        emit_json(shown)
    elif not shown:
        print("no dead letters")
    else:
        rows = [
            (
                f"{one.origin_topic}[{one.origin_partition}] {one.origin_offset}",
                one.offset,
                one.record or "?",
                one.put_aside_at.isoformat(timespec="seconds"),
                "redriven" if one.redriven else "",
                one.error[:ERROR_SHOWN_MAX],
            )
            for one in shown
        ]
        emit_table(("stood at", "letter", "record", "put aside", "", "error"), rows)
    return 0


@dlq.command()
def show(topic: Topic, offset: Offset, json: AsJson = False) -> int:
    """One dead letter: where it stood, why it was put aside, and what is in it."""
    settings = Settings.from_env()
    found = [read for read in letters(settings, (topic.value,)) if read.letter.offset == offset]
    if not found:
        raise NoSuchLetter(f"{topic.value} has no dead letter at offset {offset}")
    content = opened(settings, found[0])
    if json:
        emit_json(content)
        return 0
    letter = content.letter
    rows: list[tuple[str, object]] = [
        ("stood at", f"{letter.origin_topic}[{letter.origin_partition}] offset {letter.origin_offset}"),
        ("put aside", letter.put_aside_at.isoformat()),
        ("error", letter.error),
        ("redriven", "yes" if letter.redriven else "no"),
        ("key", letter.key),
        ("record", letter.record or f"not decodable: {content.undecodable}"),
    ]
    rows += [(f"  {name}", field) for name, field in content.fields.items()]
    rows += [(f"header {name}", value) for name, value in content.headers.items() if not name.startswith("origin_")]
    rows.append((f"{content.value_bytes} bytes", content.value_hex))
    emit_table(("dead letter", str(offset)), rows)
    return 0


@dlq.command("redrive")
def redrive_letters(
    topic: Topic,
    offsets: Offsets = None,
    everything: Everything = False,
    limit: Limit = REDRIVEN_DEFAULT,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Send dead letters to where they stood. A letter goes once: what was redriven before is left alone."""
    if bool(offsets) == everything:
        raise typer.BadParameter("name letters, or --all")
    settings = Settings.from_env()
    chosen: list[Read] = choose(letters(settings, (topic.value,)), offsets or (), limit=limit)
    if not dry_run:
        redrive(settings, chosen)
    if json:
        emit_json({"dry_run": dry_run, "topic": topic.value, "redriven": [read.letter.offset for read in chosen]})
    else:
        print(f"{len(chosen)} letters {'would go' if dry_run else 'went'} back to {topic.value}")
    return 0
