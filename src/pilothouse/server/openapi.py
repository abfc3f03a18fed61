"""The API's description (OpenAPI 3.1), made from the routes and the types of their bodies."""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from pilothouse.server.calls import Operation
from pilothouse.server.errors import ErrorBody

_REFERENCE = "#/components/schemas/{name}"
Schema = Mapping[str, Any]


def description(operations: Sequence[Operation]) -> bytes:
    types = [t for o in operations for t in (o.body, o.query, o.reply) if t is not None]
    schemas, components = msgspec.json.schema_components(
        [*types, ErrorBody], schema_hook=_any_json, ref_template=_REFERENCE
    )
    schema_of = {repr(t): schema for t, schema in zip([*types, ErrorBody], schemas, strict=True)}
    paths: dict[str, dict[str, Schema]] = {}
    for operation in operations:
        described = _described(operation, schema_of, components)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Pilothouse",
                "version": version("pilothouse"),
                "description": "The Agent Protocol: threads, runs, agents and long-term memory.",
            },
            "paths": paths,
            "components": {"schemas": components},
        }
    )


def _any_json(_: type) -> dict[str, Any]:
    """Of what is passed on as it came."""
    return {}


def _described(operation: Operation, schema_of: Mapping[str, Schema], components: Schema) -> Schema:
    described: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}{re.sub(r'[^a-z_]+', '_', operation.path)}",
        "summary": operation.summary,
        "tags": [operation.path.split("/")[1]],
        "parameters": [*_path_parameters(operation.path), *_query_parameters(operation.query, components)],
        "responses": {
            "200": _content("Done", schema_of[repr(operation.reply)] if operation.reply else {}),
            "default": _content("What went wrong", schema_of[repr(ErrorBody)]),
        },
    }
    if operation.body is not None:
        described["requestBody"] = {
            "content": {"application/json": {"schema": schema_of[repr(operation.body)]}}
        }
    return described


def _content(about: str, schema: Schema) -> Schema:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _path_parameters(path: str) -> Iterable[Schema]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(query: type[Any] | None, components: Schema) -> Iterable[Schema]:
    if query is None:
        return
    schema: Schema = components[query.__name__]
    for name, field in schema["properties"].items():
        yield {"name": name, "in": "query", "required": name in schema["required"], "schema": field}
