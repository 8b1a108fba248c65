"""Categories: a small table that belongs to the API."""

from __future__ import annotations

from uuid import uuid4

import asyncpg
import msgspec
from sanic import HTTPResponse

from api.auth.tokens import Role
from api.http import cursors
from api.http.problem import Problem, not_found
from api.http.routing import Call, json
from api.shapes.base import PageQuery
from api.shapes.events import CategoryIn, CategoryOut
from schemas.ids import CategoryId

_body = msgspec.json.Decoder(CategoryIn)


async def categories(call: Call) -> HTTPResponse:
    """200 with a page, the oldest first."""
    query = call.query(PageQuery)
    value, identity = cursors.decode(query.cursor, "categories")
    rows = await call.deps.database.rows("categories", value, identity, query.limit + 1)
    page = cursors.page(rows, query.limit, _out, lambda row: ("categories", row["made_us"], row["id"]))
    return json(page)


async def create(call: Call) -> HTTPResponse:
    """201 with the category."""
    body = call.body(_body)
    try:
        row = await call.deps.database.write("category_add", str(uuid4()), body.name.strip(), call.user_id)
    except asyncpg.UniqueViolationError:
        raise Problem("category-taken", f"the category {body.name!r} exists", field="name") from None
    except asyncpg.ForeignKeyViolationError:
        raise not_found("account", call.user_id) from None
    assert row is not None
    return json(_out(row), 201, {"location": f"/v1/categories/{row['id']}"})


async def category(call: Call, category_id: CategoryId) -> HTTPResponse:
    """200 with the category."""
    row = await call.deps.database.row("category", category_id)
    if row is None:
        raise not_found("category", category_id, field="category_id")
    return json(_out(row))


async def delete(call: Call, category_id: CategoryId) -> HTTPResponse:
    """204. Its creator and administrators may delete a category that no event uses."""
    row = await call.deps.database.row("category", category_id)
    if row is None:
        raise not_found("category", category_id, field="category_id")
    assert call.caller is not None
    if call.caller.role is not Role.ADMIN and row["created_by"] != call.user_id:
        raise Problem("forbidden", "only the creator of a category may delete it")
    if await call.deps.database.write("category_delete", category_id) is None:
        raise Problem("category-in-use", "events use this category")
    return HTTPResponse(status=204)


def _out(row: asyncpg.Record) -> CategoryOut:
    return CategoryOut(row["id"], row["name"], row["created_at"])
