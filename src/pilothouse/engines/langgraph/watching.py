"""Model and tool calls, told to the run's watch: all of them, also those that are kept out of the stream."""

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langgraph.errors import GraphBubbleUp

from pilothouse.ports.telemetry import Usage, Watch


class CallWatch:
    """Between LangChain's callbacks and a `Watch`."""

    def __init__(self, watch: Watch) -> None:
        self.silent: set[UUID] = set()
        """Model calls whose answer has not begun."""
        self._watch = watch

    def model_started(self, call: UUID, metadata: Mapping[str, Any] | None) -> None:
        """Without a provider's name it is no model: a function of the user's in a model's clothes."""
        about = metadata or {}
        if provider := about.get("ls_provider"):
            self.silent.add(call)
            self._watch.model_started(call, about.get("ls_model_name"), provider)

    def model_answers(self, call: UUID) -> None:
        if call in self.silent:
            self.silent.discard(call)
            self._watch.model_answers(call)

    def model_ended(self, call: UUID, response: LLMResult) -> None:
        self.silent.discard(call)
        self._watch.model_ended(call, _usage(response))

    def model_failed(self, call: UUID, error: BaseException) -> None:
        self.silent.discard(call)
        self._watch.model_ended(call, None, type(error).__name__)

    def tool_started(self, call: UUID, name: str, call_id: str | None) -> None:
        self._watch.tool_started(call, name, call_id)

    def tool_ended(self, call: UUID, output: object) -> None:
        failed = isinstance(output, ToolMessage) and output.status == "error"
        self._watch.tool_ended(call, "tool_error" if failed else None)

    def tool_failed(self, call: UUID, error: BaseException) -> None:
        paused = isinstance(error, GraphBubbleUp)
        self._watch.tool_ended(call, None if paused else type(error).__name__)


def _usage(response: LLMResult) -> Usage | None:
    generation = response.generations[0][0] if response.generations and response.generations[0] else None
    message = generation.message if isinstance(generation, ChatGeneration) else None
    usage = message.usage_metadata if isinstance(message, AIMessage) else None
    if usage is None:
        return None
    counted = cast("Mapping[str, Any]", usage)
    return Usage(int(counted.get("input_tokens") or 0), int(counted.get("output_tokens") or 0))
