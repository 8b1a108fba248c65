"""`circle dlq …`: records and rows that were set aside."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from ops.output import AsJson, DryRun, emit_json, emit_table
from ops.run.discovery import operator_settings
from ops.run.services.process import run_coroutine
from pipelines.watch.dead_letters import (
    ORIGINS,
    REDRIVEN_AT_ONCE_MAX,
    Letter,
    NoSuchLetter,
    ReadLetter,
    choose,
    letters,
    mend,
    opened,
    redrive,
    with_outcomes,
)
from pipelines.watch.set_aside_rows import redrive_rows, set_aside_rows
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS

LIST_DEFAULT = 50
ERROR_SHOWN_MAX = 60
REDRIVEN_DEFAULT = 100

dlq = typer.Typer(no_args_is_help=True, help="Dead letters: records that could not be read or processed.")


class LetterTopic(StrEnum):
    """The topics that have dead letters."""

    COMMANDS = COMMANDS
    FACTS = FACTS
    NOTIFICATIONS = NOTIFICATIONS


Topic = Annotated[LetterTopic, typer.Argument(help="The topic where the record stood.")]

Offset = Annotated[int, typer.Argument(help="The letter's offset, as the list shows it.", min=0)]
Offsets = Annotated[list[int] | None, typer.Argument(help="Offsets of letters, as the list shows them; or --all.")]
Everything = Annotated[bool, typer.Option("--all", help="Every letter that was not redriven yet.")]
Limit = Annotated[int, typer.Option(help="The largest number, oldest first.", min=1, max=REDRIVEN_AT_ONCE_MAX)]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(dlq, name="dlq")


@dlq.command("list")
def list_letters(
    topic: Annotated[LetterTopic | None, typer.Option(help="Only letters of this topic.")] = None,
    limit: Annotated[int, typer.Option(help="How many, latest first.", min=1, max=10_000)] = LIST_DEFAULT,
    json: AsJson = False,
) -> int:
    """List the latest dead letters, oldest first."""
    settings = operator_settings()
    listed = letters(settings, ORIGINS if topic is None else (topic.value,))
    latest = sorted(listed, key=lambda read: read.letter.put_aside_at)[-limit:]
    shown = [read.letter for read in with_outcomes(settings, latest)]
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
                _state(one),
                one.error[:ERROR_SHOWN_MAX],
            )
            for one in shown
        ]
        emit_table(("stood at", "letter", "record", "put aside", "", "error"), rows)
    return 0


@dlq.command()
def show(topic: Topic, offset: Offset, json: AsJson = False) -> int:
    """Show a dead letter: its origin, why it was set aside, and its content."""
    settings = operator_settings()
    found = [read for read in letters(settings, (topic.value,)) if read.letter.offset == offset]
    if not found:
        raise NoSuchLetter(f"{topic.value} has no dead letter at offset {offset}")
    content = opened(settings, with_outcomes(settings, found)[0])
    if json:
        emit_json(content)
        return 0
    letter = content.letter
    rows: list[tuple[str, object]] = [
        ("stood at", f"{letter.origin_topic}[{letter.origin_partition}] offset {letter.origin_offset}"),
        ("put aside", letter.put_aside_at.isoformat()),
        ("error", letter.error),
        ("redriven", _state(letter) or "no"),
        ("key", letter.key),
        ("record", letter.record or f"not decodable: {content.undecodable}"),
    ]
    if content.partly:
        rows.append(("readable part", f"a {content.partly}, up to {content.stopped_at}"))
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
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="field=value: corrects a field of the one named letter. May be repeated."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help='JSON with "type" and all fields: replaces the named letter.')
    ] = None,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Send dead letters back to their topic, corrected where you ask. A letter goes back once only."""
    if bool(offsets) == everything:
        raise typer.BadParameter("name letters, or --all")
    if (set_ or file) and (offsets is None or len(offsets) != 1):
        raise typer.BadParameter("--set and --file correct one letter: name it")
    settings = operator_settings()
    chosen: list[ReadLetter] = choose(letters(settings, (topic.value,)), offsets or (), limit=limit)
    fixes = {}
    if set_ or file:
        changes, edited = _changes(set_ or []), _edited(file)
        fixes = {read.letter.offset: mend(settings, read, changes=changes, edited=edited) for read in chosen}
    if not dry_run:
        redrive(settings, chosen, fixes)
    changed = {str(offset): fix.changed for offset, fix in fixes.items()}
    if json:
        offsets_done = [read.letter.offset for read in chosen]
        emit_json({"dry_run": dry_run, "topic": topic.value, "redriven": offsets_done, "changed": changed})
    else:
        print(f"{len(chosen)} letters {'would go' if dry_run else 'went'} back to {topic.value}")
        for offset, fix in fixes.items():
            print(f"letter {offset}: a {fix.record}, changed: {', '.join(fix.changed) or 'nothing'}")
    return 0


@dlq.command("rows")
def rows(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of rows to redrive, as the list shows them.")] = None,
    redrive_: Annotated[bool, typer.Option("--redrive", help="Try the rows again: the named rows, or all.")] = False,
    limit: Annotated[int, typer.Option(help="How many, latest first.", min=1, max=10_000)] = LIST_DEFAULT,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """List the webhook calls, messages and account mails that were set aside. With --redrive they are tried again."""
    settings = operator_settings()
    if ids and not redrive_:
        raise typer.BadParameter("ids are for --redrive: add it")
    if redrive_:
        done = run_coroutine(redrive_rows(settings, ids or (), dry_run=dry_run))
        if json:
            emit_json({"dry_run": dry_run, "redriven": done})
        else:
            print(f"{len(done)} rows {'would be' if dry_run else 'are'} due again")
        return 0
    listed = run_coroutine(set_aside_rows(settings, limit))
    if json:
        emit_json(listed)
    elif not listed:
        print("no rows are set aside")
    else:
        emit_table(
            ("row", "of", "what", "since", "error"),
            [
                (one.id, one.table, one.what, one.created_at.isoformat(timespec="seconds"), one.error[:ERROR_SHOWN_MAX])
                for one in listed
            ],
        )
    return 0


def _state(letter: Letter) -> str:
    """Whether it was redriven, and for a fact what came of it."""
    if letter.redrive is None:
        return "redriven" if letter.redriven else ""
    asked = letter.redrive
    ended = "" if asked.ended_at is None else f" {asked.ended_at.isoformat(timespec='seconds')}"
    return f"redriven, {asked.state}{ended}" + (f": {asked.error}" if asked.error else "")


def _changes(settings: list[str]) -> dict[str, str]:
    changes = {}
    for text in settings:
        name, sign, value = text.partition("=")
        if not sign:
            raise typer.BadParameter(f"--set {text}: write --set field=value")
        changes[name.strip()] = value
    return changes


def _edited(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        edited = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise typer.BadParameter(f"--file {path}: {error}") from None
    if not isinstance(edited, dict):
        raise typer.BadParameter(f"--file {path}: the file must hold one JSON object")
    return edited
