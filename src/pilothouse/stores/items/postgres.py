"""Items in PostgreSQL: one table, the value as JSON."""
# ruff: noqa: S608 - every query is a LiteralString, which pyright holds; values are parameters

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, LiteralString, TypeAlias, assert_never

import msgspec

from pilothouse.ports.items import Item, ItemQuery
from pilothouse.ports.principals import Principal
from pilothouse.stores.items import rules
from pilothouse.stores.postgres import Database, opened_database

if TYPE_CHECKING:
    from psycopg.rows import TupleRow

# Arrays are ordered label by label. With the collation "C", wherever the database is, an index finds a prefix.
MIGRATIONS: Final[Sequence[LiteralString]] = (
    """
    CREATE TABLE pilothouse_items (
        user_id text NOT NULL,
        namespace text[] COLLATE "C" NOT NULL,
        key text COLLATE "C" NOT NULL,
        value jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (user_id, namespace, key)
    );
    CREATE INDEX pilothouse_items_newest ON pilothouse_items (user_id, updated_at DESC);
    """,
)

COLUMNS: Final = (
    "namespace, key, value::text,"
    " (extract(epoch FROM created_at) * 1000)::bigint, (extract(epoch FROM updated_at) * 1000)::bigint"
)
OPERATORS: Final[Mapping[rules.Order, LiteralString]] = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}

Clause: TypeAlias = tuple[LiteralString, Sequence[object]]
"""A piece of SQL and its parameters."""


class PostgresItems:
    """`ports.items.Items` in one table of a PostgreSQL database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(
        self, principal: Principal, namespace: tuple[str, ...], key: str, value: Mapping[str, object]
    ) -> Item:
        rules.require_name(namespace, key)
        rows = await self._rows(
            "INSERT INTO pilothouse_items (user_id, namespace, key, value) VALUES (%s, %s, %s, %s::jsonb)"
            " ON CONFLICT (user_id, namespace, key)"
            " DO UPDATE SET value = excluded.value, updated_at = clock_timestamp()"
            f" RETURNING {COLUMNS}",
            [principal.user, list(namespace), key, _json(value)],
        )
        return _item(rows[0])

    async def get(self, principal: Principal, namespace: tuple[str, ...], key: str) -> Item | None:
        rules.require_name(namespace, key)
        rows = await self._rows(
            f"SELECT {COLUMNS} FROM pilothouse_items WHERE user_id = %s AND namespace = %s AND key = %s",
            [principal.user, list(namespace), key],
        )
        return _item(rows[0]) if rows else None

    async def delete(self, principal: Principal, namespace: tuple[str, ...], key: str) -> None:
        rules.require_name(namespace, key)
        await self._rows(
            "DELETE FROM pilothouse_items WHERE user_id = %s AND namespace = %s AND key = %s RETURNING key",
            [principal.user, list(namespace), key],
        )

    async def search(self, principal: Principal, query: ItemQuery) -> Sequence[Item]:
        rules.require_labels(query.namespace_prefix)
        rules.require_page(query.limit, query.offset)
        clauses = [_below(query.namespace_prefix), *map(_clause, rules.conditions(query.filter))]
        where, parameters = _all_of(principal, clauses)
        rows = await self._rows(
            f"SELECT {COLUMNS} FROM pilothouse_items WHERE {where}"
            " ORDER BY updated_at DESC, namespace, key LIMIT %s OFFSET %s",
            [*parameters, query.limit, query.offset],
        )
        return [_item(row) for row in rows]

    async def namespaces(
        self,
        principal: Principal,
        *,
        prefix: tuple[str, ...] = (),
        suffix: tuple[str, ...] = (),
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Sequence[tuple[str, ...]]:
        rules.require_labels(prefix)
        rules.require_labels(suffix)
        rules.require_page(limit, offset, max_depth)
        where, parameters = _all_of(principal, [*_starts(prefix), *_ends(suffix)])
        rows = await self._rows(
            "SELECT DISTINCT namespace[1:%s] AS shortened FROM pilothouse_items"
            f" WHERE {where} ORDER BY shortened LIMIT %s OFFSET %s",
            [max_depth or rules.DEPTH_LIMIT, *parameters, limit, offset],
        )
        return [tuple(namespace) for (namespace,) in rows]

    async def _rows(self, query: LiteralString, parameters: Sequence[object]) -> "list[TupleRow]":
        async with self._database.connection() as connection:
            cursor = await connection.execute(query, parameters)
            return await cursor.fetchall()


@asynccontextmanager
async def postgres_items(url: str) -> AsyncGenerator[PostgresItems]:
    """The items in the database at `postgresql://…`, its tables made or brought up to date."""
    async with opened_database(url) as database:
        await database.migrate("items", MIGRATIONS)
        yield PostgresItems(database)


def _item(row: "TupleRow") -> Item:
    namespace, key, value, created_at_ms, updated_at_ms = row
    return Item(tuple(namespace), key, msgspec.json.decode(value), created_at_ms, updated_at_ms)


def _all_of(principal: Principal, clauses: Sequence[Clause]) -> Clause:
    conditions: list[LiteralString] = ["user_id = %s", *(sql for sql, _ in clauses)]
    return " AND ".join(conditions), [principal.user, *(value for _, values in clauses for value in values)]


def _below(prefix: tuple[str, ...]) -> Clause:
    """Namespaces that start with these labels: a range of the index, for no label lies between x and x + "\\x01"."""
    if not prefix:
        return "true", ()
    end = (*prefix[:-1], prefix[-1] + "\x01")
    return "namespace >= %s::text[] AND namespace < %s::text[]", (list(prefix), list(end))


def _starts(pattern: tuple[str, ...]) -> list[Clause]:
    labels = [(n, label) for n, label in enumerate(pattern, 1) if label != "*"]
    return [_at_least(pattern), *(("namespace[%s] = %s", pair) for pair in labels)]


def _ends(pattern: tuple[str, ...]) -> list[Clause]:
    labels = [(n, label) for n, label in enumerate(reversed(pattern)) if label != "*"]
    return [_at_least(pattern), *(("namespace[cardinality(namespace) - %s] = %s", pair) for pair in labels)]


def _at_least(pattern: tuple[str, ...]) -> Clause:
    return "cardinality(namespace) >= %s", (len(pattern),)


def _clause(condition: rules.Condition) -> Clause:
    match condition:
        case rules.Equals(field, operand):
            return "value -> %s::text = %s::jsonb", (field, _json(operand))
        case rules.Differs(field, operand):
            return "value -> %s::text IS DISTINCT FROM %s::jsonb", (field, _json(operand))
        case rules.Compares(field, operator, str(operand)):
            typed = "jsonb_typeof(value -> %s::text) = 'string'"
            compared = f'(value ->> %s::text) COLLATE "C" {OPERATORS[operator]} %s'
            return f"{typed} AND {compared}", (field, field, operand)
        case rules.Compares(field, operator, operand):
            typed = "jsonb_typeof(value -> %s::text) = 'number'"
            compared = f"value -> %s::text {OPERATORS[operator]} %s::jsonb"
            return f"{typed} AND {compared}", (field, field, _json(operand))
        case _:
            assert_never(condition)


def _json(value: object) -> str:
    return rules.encoded(value).decode()
