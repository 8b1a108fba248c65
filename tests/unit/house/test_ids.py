"""An id has its own type: a user's id in the place of an event's would pass the type checker as a text.

The rule holds for the fields, parameters and results that are called like an id. A text becomes an id where it enters:
in a decoder, a path, a derivation.
"""

from __future__ import annotations

import ast
import typing
from collections.abc import Iterator

import pytest

from schemas import ids
from schemas.commands import COMMANDS
from schemas.facts import FACTS
from schemas.field_types import plain
from schemas.notifications import NOTIFICATIONS
from tests.unit.docs.pages import ROOT, SOURCES, tree_of

NOT_OURS = {
    "step_id",  # Bytewax's
    "transactional_id", "client_id", "new_cluster_id", "stored_cluster_id",  # Kafka's
    "kafka_oauth_client_id",  # OAuth's
    "schema_id",  # the registry's
    "operation_id", "last_event_id",  # OpenAPI's, HTML's
}  # fmt: skip
WITH_OTHER_IDS = {"Accepted", "BookDifference", "NotificationOut", "OrderRefundOut", "SetAsideRow", "StripeEventIn"}
"""Shapes whose `id` is that of any command, an entry of books, a position, a refund's key, a row's, Stripe's own."""
TYPES = {name for name, value in vars(ids).items() if isinstance(value, typing.NewType) and plain(value) is str}


def is_id_like(name: str) -> bool:
    bare = name.lstrip("_")
    return (bare == "id" or bare.endswith(("_id", "_ids"))) and bare not in NOT_OURS


def is_text(annotation: ast.expr | None) -> bool:
    """Whether an annotation has a plain text in it, also as a list, or as an annotation in quotes."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    return annotation is not None and any(isinstance(one, ast.Name) and one.id == "str" for one in ast.walk(annotation))


def untyped_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each field, variable, parameter and function that is called like an id and is a text."""
    others = {
        id(field)
        for shape in ast.walk(tree)
        if isinstance(shape, ast.ClassDef) and shape.name in WITH_OTHER_IDS
        for field in shape.body
    }
    for node in ast.walk(tree):
        match node:
            case _ if id(node) in others:
                continue
            case ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name), annotation=annotation):
                pass
            case ast.arg(arg=name, annotation=annotation):
                pass
            case ast.FunctionDef(name=name, returns=annotation) | ast.AsyncFunctionDef(name=name, returns=annotation):
                pass
            case _:
                continue
        if is_id_like(name) and is_text(annotation):
            yield node.lineno, name


def found_in(text: str) -> list[str]:
    return [name for _, name in sorted(untyped_in(tree_of(text)))]


@pytest.mark.parametrize("top", SOURCES)
def test_no_id_is_a_plain_text(top: str) -> None:
    paths = sorted((ROOT / top).rglob("*.py"))
    assert paths
    found = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in paths
        for line, name in untyped_in(tree_of(path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize("record", [*COMMANDS, *FACTS, *NOTIFICATIONS], ids=lambda record: record.__name__)
def test_each_id_of_a_record_has_a_type_of_ids_that_is_a_text_on_the_wire(record: type) -> None:
    hints = {name: hint for name, hint in typing.get_type_hints(record).items() if is_id_like(name)}
    for name, hint in hints.items():
        kinds = [kind for kind in typing.get_args(hint) or (hint,) if kind is not type(None)]
        assert {kind.__name__ for kind in kinds} <= TYPES, name
        assert [plain(kind) for kind in kinds] == [str], name


@pytest.mark.parametrize(
    "text",
    [
        "class Order:\n    user_id: str",
        'class Order:\n    attempt_id: str = ""',
        "class Order:\n    pool_id: str | None = None",
        "class Order:\n    ticket_ids: list[str]",
        "class Order:\n    id: str",
        "class Order:\n    id: Annotated[str, Meta(max_length=36)]",
        'class Order:\n    user_id: "str"',
        "def find(event_id: str): pass",
        "def find(*, by_user_id: str | None = None): pass",
        "async def find(*ticket_ids: str): pass",
        "def ticket_id(reservation, place) -> str: pass",
        "self._event_id: str = event_id",
    ],
)
def test_an_id_that_is_a_plain_text_is_found_wherever_it_stands(text: str) -> None:
    assert len(found_in(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "class Order:\n    user_id: UserId",
        "class Order:\n    pool_id: PoolId | None = None",
        "class Order:\n    ticket_ids: list[TicketId]",
        "class Order:\n    id: int",
        "class Order:\n    title: str",
        "def find(event_id: EventId, place: str) -> str: pass",
        "def flow(step_id: str): pass",
        "class Accepted:\n    id: str",
    ],
)
def test_a_typed_id_and_another_text_are_not_found(text: str) -> None:
    assert found_in(text) == []
