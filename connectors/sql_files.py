"""Named SQL from `.sql` files: `-- name: load_event` begins a query, which ends where the next one begins.

Guarantee: the server runs the text of the file. Only parameters are added, and columns where the text says so.
"""

from pathlib import Path

NAME_MARK = "-- name:"


def queries(path: Path) -> dict[str, str]:
    """The queries of one file by name, comments included (they show up in the server's log). Raises ValueError for
    a query without a name or a name given twice."""
    texts: dict[str, str] = {}
    for part in path.read_text(encoding="utf-8").split(NAME_MARK)[1:]:
        name, _, text = part.partition("\n")
        name, text = name.strip(), text.strip()
        if not name.isidentifier() or not text or name in texts:
            raise ValueError(f"{path.name}: a query needs a name of its own and a text; got {name!r}")
        texts[name] = text
    return texts
