"""Where in a graph something comes from, told by the metadata that LangGraph gives to callbacks."""

from collections.abc import Mapping
from typing import Any

from pilothouse.engines.langgraph.encoding import encode
from pilothouse.events import Json

_NAMESPACE_SEPARATOR = "|"
_HIDDEN_TAG_PREFIXES = ("graph:step:", "seq:step:")


class Source:
    """The model call or node that messages come from. Its metadata is encoded once, when it is first needed."""

    __slots__ = ("_encoded", "_metadata", "namespace", "response_metadata")

    def __init__(
        self, metadata: Mapping[str, Any], tags: list[str] | None, namespace: tuple[str, ...]
    ) -> None:
        shown = [tag for tag in tags or () if not tag.startswith(_HIDDEN_TAG_PREFIXES)]
        self._metadata: Mapping[str, Any] = {**metadata, "tags": shown} if shown else metadata
        self._encoded: Json | None = None
        self.namespace = namespace
        self.response_metadata: object = None
        """What the last chunk that was sent whole said of its response: a chunk that says the same says nothing new."""

    @property
    def encoded(self) -> Json:
        if self._encoded is None:
            self._encoded = encode(self._metadata)
        return self._encoded


def task_path(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The tasks that lead to a task, from the graph that runs at the top, the task itself last."""
    checkpoint_namespace: str = metadata.get("langgraph_checkpoint_ns") or ""
    return tuple(checkpoint_namespace.split(_NAMESPACE_SEPARATOR))


def namespace_of(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The namespace of the graph that a task runs in: `()` for the agent itself.

    The task's own segment goes, and with the functional API one more for each `@task` call around it: such a call
    runs in its caller's graph, though its path is nested. (LangGraph: `graph_namespace` in `pregel/_messages.py`.)
    """
    path: Any = metadata.get("langgraph_path", ())
    own = 1
    while len(path) == 4 and path[-1] is True:
        own += 1
        path = path[1]
    return task_path(metadata)[:-own]
