"""The stream mode `events`: what a run's log holds, in the shape of LangChain's `astream_events`.

The log keeps what happened, not each callback of each runnable: chains, models and tools are there, prompts and parsers
are not.
"""

import msgspec

from pilothouse.events import (
    Json,
    MessageChunk,
    MessageDelta,
    MessageFinished,
    RunEnded,
    RunEvent,
    RunId,
    RunStarted,
    StateUpdated,
    ToolFinished,
    ToolStarted,
)
from pilothouse.wire.message_tuples import DeltaEncoder
from pilothouse.wire.sse import Frame, one_line

_NO_META = Json(b"{}")


class LangChainEvents:
    def __init__(self, run_id: RunId) -> None:
        self._run_id = run_id
        self._deltas = DeltaEncoder()

    def frames(self, event: RunEvent) -> list[Frame]:
        match event:
            case RunStarted():
                body = self._event("on_chain_start", event.agent_id, {})
            case RunEnded():
                body = self._event("on_chain_end", "", {"output": None})
            case StateUpdated():
                body = self._event("on_chain_stream", "", {"chunk": event.data})
            case ToolStarted() | ToolFinished():
                body = self._tool(event)
            case MessageDelta() | MessageChunk() | MessageFinished():
                body = self._model(event)
            case _:
                return []
        return [(b"events", one_line(body))]

    def _model(self, event: MessageDelta | MessageChunk | MessageFinished) -> bytes:
        if isinstance(event, MessageFinished):
            return self._event(
                "on_chat_model_end", "", {"output": event.message}, event.message_id, event.meta
            )
        chunk = Json(self._deltas.chunk(event)) if isinstance(event, MessageDelta) else event.chunk
        return self._event("on_chat_model_stream", "", {"chunk": chunk}, event.message_id, event.meta)

    def _tool(self, event: ToolStarted | ToolFinished) -> bytes:
        if isinstance(event, ToolStarted):
            return self._event("on_tool_start", event.name, {"input": event.arguments}, event.call_id)
        if event.error is not None:
            return self._event("on_tool_error", event.name, {"error": event.error}, event.call_id)
        return self._event("on_tool_end", event.name, {"output": event.result}, event.call_id)

    def _event(
        self, kind: str, name: str, data: dict[str, object], run_id: str = "", meta: Json = _NO_META
    ) -> bytes:
        """`run_id` is what LangChain calls the one step's id: here the message's or the call's."""
        return msgspec.json.encode(
            {
                "event": kind,
                "name": name,
                "run_id": run_id or self._run_id,
                "data": data,
                "tags": [],
                "metadata": meta,
                "parent_ids": [self._run_id] if run_id else [],
            }
        )
