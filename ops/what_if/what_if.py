"""`circle replay what-if`: reads one event's commands twice, once for each world. Writes only the picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from connectors.errors import CircleError
from connectors.log_reader import LogReader, few_collections, key_of, offset_of, partitions_of, stamp_of
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from ops.explain.event_past import NotOnTheLog, facts_of
from ops.progress import ProgressBars
from ops.what_if.picture import svg
from ops.what_if.worlds import BadRule, OtherRules, ReplayedCommand, WhatIfReport, World, WorldOutcome, report
from pipelines.history.moment import moment
from pipelines.history.rules_by_version import command_of
from schemas import facts as f
from schemas.codec import Codec
from schemas.commands import Command
from schemas.ids import EventId, stamped
from schemas.money import formatted
from schemas.placement import partition_of
from schemas.topics import COMMANDS

BAR_EVERY = 5_000
USERS_FILE_BYTES_MAX = 64 * 1024 * 1024


class BadOption(CircleError):
    """Wrong usage: --set or --exclude-users has an impossible value."""

    exit_code = 2


def other_rules(settings: list[str], exclude: Path | None) -> OtherRules:
    """The rules of `--set name=value …` and `--exclude-users FILE` (one id a line, # is a comment).

    Raises BadOption.
    """
    values = {}
    for text in settings:
        name, sign, value = text.partition("=")
        if not sign:
            raise BadOption(f"--set {text}: write --set name=value, as in --set max_tickets_per_user=2")
        values[name.strip()] = _number(name, value.strip())
    excluded: frozenset[str] = frozenset()
    if exclude is not None:
        try:
            if exclude.stat().st_size > USERS_FILE_BYTES_MAX:
                raise BadOption(f"--exclude-users {exclude}: larger than {USERS_FILE_BYTES_MAX // 2**20} MB")
            lines = (line.partition("#")[0].strip() for line in exclude.read_text().splitlines())
            excluded = frozenset(line for line in lines if line)
        except (OSError, UnicodeDecodeError) as error:
            raise BadOption(f"--exclude-users {exclude}: {error}") from None
    try:
        return OtherRules(values=values, excluded=excluded)
    except BadRule as error:
        raise BadOption(f"--set: {error}") from None


def _number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        pass
    try:
        when = moment(value).log_time
    except ValueError:
        when = None
    if when is None:
        raise BadOption(f"--set {name}={value}: the value is neither a whole number nor a time")
    return when


def what_if(
    settings: Settings,
    event_id: EventId,
    rules: OtherRules,
    progress: ProgressBars,
    *,
    newcomers_pay: float | None = None,
) -> tuple[WhatIfReport, World, World]:
    """Both worlds. Raises NotOnTheLog, BadOption, ServiceUnreachable."""
    home = partition_of(event_id, partitions_of(settings, COMMANDS))
    locks = {
        recorded.envelope.offset: recorded.fact
        for _, recorded in facts_of(settings, event_id, home, progress)
        if isinstance(recorded.fact, f.SeatLocksObserved)
    }
    as_it_was = World(event_id)
    with few_collections():
        end, last = _run(settings, as_it_was, home, locks, progress, "as it was", None)
        if as_it_was.state.details is None:
            raise NotOnTheLog(f"event {event_id} is not on the log")
        share = as_it_was.share_paid if newcomers_pay is None else newcomers_pay
        other = World(event_id, rules, as_it_was=as_it_was, newcomers_pay=share)
        try:
            _run(settings, other, home, locks, progress, "what if", end)
        except BadRule as error:
            raise BadOption(f"--set: the event refuses it: {error}") from None
    for world in (as_it_was, other):
        world.end(last)
    return report(as_it_was, other, rules=rules, newcomers_pay=share), as_it_was, other


def picture(found: WhatIfReport, as_it_was: World, other: World) -> str:
    """The SVG of a report."""
    changes = ", ".join(f"{name} = {value}" for name, value in found.rules.items()) or "the same rules"
    if found.excluded_users:
        changes += f", without {found.excluded_users:,} users"
    halves = [("as it was", as_it_was.sections()), (f"what if: {changes}", other.sections())]
    return svg(found.title or found.event_id, halves, figures(found))


def figures(found: WhatIfReport) -> list[tuple[str, str, str, str]]:
    """Rows of name, recorded value, what-if value, difference."""
    rows = []
    for name, words in WORDS.items():
        before, after = int(getattr(found.as_it_was, name)), int(getattr(found.what_if, name))
        rows.append((words, f"{before:,}", f"{after:,}", f"{after - before:+,}" if before != after else ""))
    for key, before, after in _both(found, "sold_minor"):
        change = f"{'+' if after > before else ''}{formatted(after - before, key)}" if before != after else ""
        rows.append(("money", formatted(before, key), formatted(after, key), change))
    for key, before, after in _both(found, "refused"):
        change = f"{after - before:+,}" if before != after else ""
        rows.append((f"refused: {key}", f"{before:,}", f"{after:,}", change))
    return rows


def _both(found: WhatIfReport, field: str) -> list[tuple[str, int, int]]:
    """The counts of both worlds: name, recorded count, what-if count."""
    old, new = _by_name(found.as_it_was, field), _by_name(found.what_if, field)
    return [(key, old.get(key, 0), new.get(key, 0)) for key in sorted(old.keys() | new.keys())]


WORDS = {
    "asked": "reservations asked for",
    "buyers_asking": "buyers asking",
    "granted": "reservations granted",
    "buyers_served": "buyers with places",
    "places_sold": "places sold",
    "places_held": "places held",
    "places_free": "places free",
    "singles_left_alone": "single seats left alone",
    "holds_expired": "holds expired",
    "holds_released": "holds released",
    "cancelled": "cancelled",
}


def _by_name(outcome: WorldOutcome, field: str) -> dict[str, int]:
    found: dict[str, int] = getattr(outcome, field)
    return found


def _run(
    settings: Settings,
    world: World,
    partition: int,
    locks: dict[int, f.SeatLocksObserved],
    progress: ProgressBars,
    name: str,
    end: int | None,
) -> tuple[int, int]:
    """Run the event's commands through a world. Returns the offset after the last record, and the last log time."""
    codec, event_id = codec_of(settings), world.state.event_id
    key, log_time, offset = event_id.encode(), 0, -1
    with LogReader(settings, COMMANDS, partition) as reader:
        reader.from_the_start()
        bar = progress.bar(name, reader.high)
        for message in reader.messages(end):
            offset = offset_of(message)
            log_time = max(log_time, stamped(stamp_of(message)))
            if offset % BAR_EVERY == 0:
                bar.set(offset)
            if key_of(message) in (key, None):
                for command in _commands(codec, message.value(), event_id):
                    world.read(ReplayedCommand(offset, log_time, command, locks.get(offset)))
        bar.finish(offset + 1)
    return offset + 1, log_time


def _commands(codec: Codec, value: bytes | None, event_id: EventId) -> Iterator[Command]:
    command = command_of(codec, value)
    if isinstance(command, Command) and command.event_id == event_id:
        yield command
