"""What can be told of a graph without running it: JSON schemas, its drawing, its subgraphs."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import TypeAdapter, create_model

from pilothouse.engines.langgraph.requests import AnyGraph

logger = logging.getLogger(__name__)


def schemas(graph: AnyGraph) -> dict[str, object]:
    """The five schemas; None for one that can't be derived from the graph's types."""
    return {
        "input_schema": _derived(graph, "input", graph.get_input_jsonschema),
        "output_schema": _derived(graph, "output", graph.get_output_jsonschema),
        "state_schema": _derived(graph, "state", lambda: _state_schema(graph)),
        "config_schema": _derived(graph, "config", lambda: _context_schema(graph)),
        "context_schema": _derived(graph, "context", lambda: _context_schema(graph)),
    }


def subgraphs(graph: AnyGraph, namespace: str | None, *, recurse: bool) -> dict[str, object]:
    """The schemas of the nested graphs, by their names."""
    untyped: Any = graph
    nested = untyped.get_subgraphs(namespace=namespace, recurse=recurse)
    return {name: schemas(subgraph) for name, subgraph in nested}


def drawing(graph: AnyGraph, xray: int | bool) -> Mapping[str, object]:
    """Nodes and edges, in the JSON of LangChain's graphs."""
    drawn: Mapping[str, Any] = graph.get_graph(xray=xray).to_json()
    for node in drawn.get("nodes", ()):
        data: Any = node.get("data")
        if isinstance(data, dict):
            cast("dict[str, Any]", data).pop("id", None)
    return drawn


def _derived(
    graph: AnyGraph, which: str, derive: Callable[[], Mapping[str, object] | None]
) -> Mapping[str, object] | None:
    try:
        return derive()
    except Exception:  # pydantic raises many things for types that have no schema
        logger.info("schema not derivable", extra={"graph": graph.name, "schema": which}, exc_info=True)
        return None


def _context_schema(graph: AnyGraph) -> Mapping[str, object] | None:
    return None if graph.context_schema is None else TypeAdapter(graph.context_schema).json_schema()


def _state_schema(graph: AnyGraph) -> Mapping[str, object]:
    fields: dict[str, Any] = {name: (_update_type(graph, name), None) for name in graph.stream_channels_list}
    return create_model(graph.get_name("State"), **fields).model_json_schema()


def _update_type(graph: AnyGraph, channel: str) -> Any:
    untyped: Any = graph
    update_type: Any = getattr(untyped.channels[channel], "UpdateType", Any)
    try:
        TypeAdapter(update_type).json_schema()
    except Exception:  # noqa: BLE001 - the same: a channel without a schema is shown as anything
        return Any
    return update_type
