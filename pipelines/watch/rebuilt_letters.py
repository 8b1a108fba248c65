"""Dead letters of facts that lacked their rows: a rebuild of the rows ends them.

Guarantee: a letter gets its marker only while the live tables have no entry for its fact in `facts_set_aside`. Nothing
is written to tickets.facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from connectors.postgres import Connection, Database
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.watch.dead_letters import ROWS, ReadLetter, letters, mark_done
from schemas.facts import RecordedFact
from schemas.topics import FACTS

SQL = queries(Path(__file__).parent / "sql" / "rebuilt_letters.sql")


def end_rebuilt(settings: Settings) -> int:
    """Mark the letters of facts that have their rows since a rebuild. Returns their number.

    Raises ServiceUnreachable, and NoSuchLetter where another command marks them at the same moment.
    """
    lacking = [read for read in letters(settings, (FACTS,)) if _lacks_rows(read)]
    done = _with_rows(settings, lacking) if lacking else []
    mark_done(settings, done)
    return len(done)


def _lacks_rows(read: ReadLetter) -> bool:
    return read.letter.set_aside_by == ROWS and not read.letter.redriven


def _with_rows(settings: Settings, lacking: Sequence[ReadLetter]) -> list[ReadLetter]:
    """Those whose fact is readable and not set aside any more."""
    codec = codec_of(settings)
    places = {read.letter.offset: _place(codec.decode(read.message.value())) for read in lacking}
    readable = [read for read in lacking if places[read.letter.offset] is not None]

    async def aside(connection: Connection) -> set[tuple[int, int, int]]:
        return {(one["partition"], one["offset"], one["index"]) for one in await connection.fetch(SQL["set_aside"])}

    with closing(Database(settings.postgres_url)) as database:
        still = database.run(aside, readonly=True)
    return [read for read in readable if places[read.letter.offset] not in still]


def _place(decoded: object) -> tuple[int, int, int] | None:
    if not isinstance(decoded, RecordedFact):
        return None
    at = decoded.envelope
    return at.partition, at.offset, at.index
