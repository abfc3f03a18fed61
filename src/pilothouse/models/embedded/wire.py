"""The OpenAI chat completions wire, as far as the embedded model speaks it. Pure: no I/O.

One addition: a tool's `function` may carry `x-examples`, `[{"request": …, "arguments": {…}}]`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import uuid4

import msgspec

from pilothouse.errors import InvalidRequest


class Example(msgspec.Struct, frozen=True):
    """A request in a person's words, and the arguments that answer it."""

    request: str
    arguments: dict[str, Any]


class Function(msgspec.Struct, frozen=True, rename={"examples": "x-examples"}):
    """A function that the model may call."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}
    examples: tuple[Example, ...] = ()


class CalledFunction(msgspec.Struct, frozen=True):
    name: str
    arguments: str


class ToolCall(msgspec.Struct, frozen=True):
    id: str
    function: CalledFunction
    type: Literal["function"] = "function"


class _ToolEntry(msgspec.Struct, frozen=True):
    function: Function


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class _StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool = False


class _Body(msgspec.Struct, frozen=True):
    messages: list[_Message]
    tools: list[_ToolEntry] | None = None
    tool_choice: str | dict[str, Any] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    response_format: dict[str, Any] | None = None


class Message(msgspec.Struct, frozen=True):
    """A message of the conversation; content is text."""

    role: str
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


class ChatRequest(msgspec.Struct, frozen=True):
    """A decoded request. `forced` is the name of the tool that must be called, `""` for any of them."""

    messages: tuple[Message, ...]
    tools: tuple[Function, ...] = ()
    forced: str | None = None
    stream: bool = False
    include_usage: bool = False
    options: Mapping[str, Any] = {}
    """Passed on to llama.cpp: `max_tokens, temperature, top_p, seed, stop, response_format`."""


class Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens
        )


def decode(body: bytes) -> ChatRequest:
    """Raises `InvalidRequest` that names the field."""
    try:
        parsed = msgspec.json.decode(body, type=_Body)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"The request is not a chat completion request: {error}.") from error
    if not parsed.messages:
        raise InvalidRequest("`messages` is empty.")
    tools = tuple(entry.function for entry in parsed.tools or ())
    forced = _forced(parsed.tool_choice, tools)
    limits = {"max_tokens": parsed.max_completion_tokens or parsed.max_tokens}
    rest = {
        name: getattr(parsed, name) for name in ("temperature", "top_p", "seed", "stop", "response_format")
    }
    return ChatRequest(
        messages=tuple(_message(message) for message in parsed.messages),
        tools=() if parsed.tool_choice == "none" else tools,
        forced=forced,
        stream=bool(parsed.stream),
        include_usage=bool(parsed.stream_options and parsed.stream_options.include_usage),
        options={name: value for name, value in (limits | rest).items() if value is not None},
    )


def decode_tools(body: bytes) -> tuple[Function, ...]:
    """The tools of `{"tools": […]}`. Raises `InvalidRequest`."""

    class _Tools(msgspec.Struct, frozen=True):
        tools: list[_ToolEntry]

    try:
        return tuple(entry.function for entry in msgspec.json.decode(body, type=_Tools).tools)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"This is not a list of tools: {error}.") from error


def _forced(choice: str | dict[str, Any] | None, tools: Sequence[Function]) -> str | None:
    if choice in (None, "auto", "none"):
        return None
    if choice == "required":
        name = ""
    elif isinstance(choice, dict):
        name = str((choice.get("function") or choice).get("name"))
    else:
        raise InvalidRequest(
            f"`tool_choice` {choice!r} is not known: give auto, none, required, or a function."
        )
    if not tools or (name and name not in {tool.name for tool in tools}):
        raise InvalidRequest(f"`tool_choice` asks for {name or 'a tool'}, which is not among `tools`.")
    return name


def _message(message: _Message) -> Message:
    content = message.content
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content)
    return Message(
        role="system" if message.role == "developer" else message.role,
        content=content or "",
        tool_calls=tuple(message.tool_calls or ()),
        tool_call_id=message.tool_call_id,
    )


def new_call(name: str, arguments: str) -> ToolCall:
    return ToolCall(id=f"call_{uuid4().hex[:24]}", function=CalledFunction(name=name, arguments=arguments))


class Answer:
    """Encodes one answer, streamed or whole."""

    def __init__(self, model: str, created: int) -> None:
        self._frame = {"id": f"chatcmpl-{uuid4().hex}", "created": created, "model": model}

    def chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._event({"choices": [choice]})

    def usage(self, usage: Usage) -> bytes:
        return self._event({"choices": [], "usage": _usage(usage)})

    def whole(self, content: str, call: ToolCall | None, finish_reason: str, usage: Usage) -> bytes:
        message: dict[str, Any] = {"role": "assistant", "content": content or None}
        if call:
            message["tool_calls"] = [call]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
        body = {"object": "chat.completion", **self._frame, "choices": [choice], "usage": _usage(usage)}
        return msgspec.json.encode(body)

    def _event(self, data: Mapping[str, Any]) -> bytes:
        body = {"object": "chat.completion.chunk", **self._frame, **data}
        return b"data: " + msgspec.json.encode(body) + b"\n\n"


def error(message: str, code: str) -> bytes:
    """An error body."""
    return msgspec.json.encode({"error": {"message": message, "type": code, "code": code, "param": None}})


def error_event(message: str, code: str) -> bytes:
    """An error in the middle of a stream."""
    return b"data: " + error(message, code) + b"\n\n"


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
