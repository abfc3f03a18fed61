"""What a request asks of a graph, in LangGraph's terms. Everything that does not fit is an `InvalidRequest`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast, get_type_hints

import msgspec
from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.types import Command, Send

from pilothouse.errors import InvalidRequest
from pilothouse.events import Json, ThreadId
from pilothouse.ports.engines import EngineRequest
from pilothouse.ports.principals import Principal

AnyGraph = Pregel[Any, Any, Any, Any]
GraphStreamMode = Literal["values", "updates", "tasks", "checkpoints", "debug", "custom"]

_COORDINATES = ("checkpoint_id", "checkpoint_ns", "checkpoint_map")
_FROM_CALLBACKS = frozenset({"messages", "messages-tuple", "tools"})
_STREAMED: Mapping[str, GraphStreamMode] = {
    "values": "values",
    "updates": "updates",
    "tasks": "tasks",
    "checkpoints": "checkpoints",
    "debug": "debug",
    "custom": "custom",
    "events": "updates",  # the wire makes them of what the log holds
}


class AuthUser:
    """Who calls, as graphs made for LangGraph's server expect it in `configurable["langgraph_auth_user"]`."""

    is_authenticated = True
    permissions: Sequence[str] = ()

    def __init__(self, principal: Principal) -> None:
        self.identity: str = principal.user
        self.display_name: str = principal.user

    def __getitem__(self, key: str) -> object:
        return self._facts()[key]

    def __contains__(self, key: object) -> bool:
        return key in self._facts()

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts())

    def _facts(self) -> dict[str, object]:
        return {
            "identity": self.identity,
            "display_name": self.display_name,
            "is_authenticated": True,
            "permissions": list(self.permissions),
        }


class Call(NamedTuple):
    """The arguments of `astream`."""

    input: Any
    config: RunnableConfig
    context: Any
    stream_modes: list[GraphStreamMode]
    interrupt_before: Literal["*"] | list[str] | None
    interrupt_after: Literal["*"] | list[str] | None
    subgraphs: bool
    durability: Literal["sync", "async", "exit"]


def call_of(graph: AnyGraph, request: EngineRequest) -> Call:
    """The call that a first attempt makes."""
    config = config_of(request)
    asked = request.request
    return Call(
        input=_command(graph, asked.command) if asked.command is not None else _decoded(asked.input, "input"),
        config=config,
        context=_context(graph, request, config),
        stream_modes=stream_modes_of(request),
        interrupt_before=_nodes(graph, asked.interrupt_before, "interrupt_before"),
        interrupt_after=_nodes(graph, asked.interrupt_after, "interrupt_after"),
        subgraphs=asked.stream_subgraphs,
        durability=asked.durability,
    )


def stream_modes_of(request: EngineRequest) -> list[GraphStreamMode]:
    """LangGraph's modes for what the log is to hold: `custom` always, messages and tools by callbacks."""
    modes: list[GraphStreamMode] = ["custom"]
    for mode in request.request.stream_modes:
        if mode in _FROM_CALLBACKS:
            continue
        if _STREAMED[mode] not in modes:
            modes.append(_STREAMED[mode])
    return modes


def config_of(request: EngineRequest) -> RunnableConfig:
    """The caller's config with what the server knows in its place."""
    given = _mapping(request.request.config, "config")
    configurable = {k: v for k, v in _part(given, "configurable").items() if not k.startswith("__")}
    metadata = _mapping(request.metadata, "metadata") | _part(given, "metadata")
    known = {
        "run_id": str(request.run_id),
        "assistant_id": str(request.agent_id),
        "graph_id": str(request.agent_id),
        "langgraph_auth_user_id": str(request.principal.user),
    }
    configurable |= {
        **known,
        "langgraph_auth_user": AuthUser(request.principal),
        "thread_id": str(request.thread_id),
        "checkpoint_ns": "",
    }
    if request.request.checkpoint is not None:
        configurable |= coordinates(_mapping(request.request.checkpoint, "checkpoint"))
    metadata |= {**known, "thread_id": str(request.thread_id), "run_attempt": request.attempt}
    config: RunnableConfig = {"configurable": configurable, "metadata": metadata}
    if (limit := given.get("recursion_limit")) is not None:
        config["recursion_limit"] = _recursion_limit(limit)
    if (tags := given.get("tags")) is not None:
        config["tags"] = _tags(tags)
    if isinstance(concurrency := given.get("max_concurrency"), int):
        config["max_concurrency"] = concurrency
    return config


def thread_config(thread_id: ThreadId, checkpoint: Mapping[str, object] | None = None) -> RunnableConfig:
    """The config that names a thread's newest checkpoint, or the one asked for."""
    return {
        "configurable": {
            "thread_id": str(thread_id),
            "checkpoint_ns": "",
            **coordinates(checkpoint or {}),
        }
    }


def coordinates(checkpoint: Mapping[str, object]) -> dict[str, Any]:
    """What of a checkpoint's description says which one it is, apart from the thread."""
    found = {key: checkpoint[key] for key in _COORDINATES if checkpoint.get(key) is not None}
    for key in ("checkpoint_id", "checkpoint_ns"):
        if not isinstance(found.get(key, ""), str):
            raise InvalidRequest(f"`{key}` of a checkpoint must be a string.")
    return found


def _decoded(encoded: Json | None, name: str) -> Any:
    if encoded is None:
        return None
    try:
        return msgspec.json.decode(encoded)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"`{name}` is not valid JSON: {error}") from error


def _mapping(encoded: Json | None, name: str) -> dict[str, Any]:
    value = _decoded(encoded, name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"`{name}` must be a JSON object.")
    return cast("dict[str, Any]", value)


def _part(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    part: Any = config.get(name) or {}
    if not isinstance(part, dict):
        raise InvalidRequest(f"`config.{name}` must be a JSON object.")
    return cast("dict[str, Any]", part)


def _recursion_limit(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidRequest("`config.recursion_limit` must be a whole number of at least 1.")
    return value


def _tags(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in cast("list[object]", value)):
        raise InvalidRequest("`config.tags` must be a list of strings.")
    return cast("list[str]", value)


def _nodes(
    graph: AnyGraph, names: tuple[str, ...] | Literal["*"], field: str
) -> Literal["*"] | list[str] | None:
    if names == "*":
        return "*"
    for name in names:
        _check_node(graph, name, field)
    return list(names) or None


def _check_node(graph: AnyGraph, name: str, field: str) -> None:
    if name not in graph.nodes:
        known = ", ".join(node for node in graph.nodes if not node.startswith("__"))
        raise InvalidRequest(f"`{field}` names {name!r}, which is no node of the agent: it has {known}.")


def _command(graph: AnyGraph, encoded: Json) -> Command[Any]:
    command = _mapping(encoded, "command")
    if unknown := command.keys() - {"update", "resume", "goto"}:
        raise InvalidRequest(f"`command` has no field {min(unknown)!r}: it has update, resume and goto.")
    goto = command.get("goto")
    targets = cast("list[Any]", goto if isinstance(goto, list) else [] if goto is None else [goto])
    return Command(
        update=_update(command.get("update")),
        resume=command.get("resume"),
        goto=[_target(graph, target) for target in targets],
    )


def _update(update: Any) -> Any:
    """JSON has no tuples: a list of `[channel, value]` pairs is what LangGraph takes as a list of tuples."""
    if isinstance(update, list):
        items = cast("list[Any]", update)
        if all(isinstance(item, list) and len(cast("list[Any]", item)) == 2 for item in items):
            return [tuple(item) for item in items]
        return items
    return update


def _target(graph: AnyGraph, target: Any) -> str | Send:
    if isinstance(target, str):
        _check_node(graph, target, "command.goto")
        return target
    if isinstance(target, dict) and isinstance(node := cast("dict[str, Any]", target).get("node"), str):
        _check_node(graph, node, "command.goto")
        return Send(node, cast("dict[str, Any]", target).get("input"))
    raise InvalidRequest(
        '`command.goto` must be a node\'s name, {"node": …, "input": …}, or a list of these.'
    )


def _context(graph: AnyGraph, request: EngineRequest, config: RunnableConfig) -> Any:
    """The caller's context; without one, the fields of the graph's context that `configurable` has."""
    if request.request.context is not None:
        return _mapping(request.request.context, "context") or None
    schema = graph.context_schema
    if schema is None:
        return None
    configurable = config.get("configurable", {})
    return {name: configurable[name] for name in get_type_hints(schema) if name in configurable} or None
