"""The embedded model as a LangChain chat model. Imports LangChain's OpenAI client: import it when a model is opened.

It is the client for OpenAI-compatible servers with two differences: the model is started before the first call, and tools carry
their examples. These are LangChain's `extras["examples"]` or
`metadata["examples"]` of a tool: a list of `{"request": …, "arguments": {…}}`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr

from pilothouse.models.embedded.sidecar import EmbeddedModel
from pilothouse.models.failures import Advice
from pilothouse.models.openai import OpenAIChat
from pilothouse.models.policies import RetryPolicy

_TIMEOUT_SECONDS = 300.0
_ADVICE = Advice(
    server="the small model on this machine",
    refused="Start Pilothouse again.",
    unknown="Start Pilothouse again.",
    down="Its process may be starting again: ask once more, and look at the server's log.",
)


def embedded_chat(embedded: EmbeddedModel) -> "EmbeddedChat":
    """A chat model that talks to the embedded one.

    Nothing is started until it is asked something; then its calls raise what `EmbeddedModel.ready` raises.
    """
    chat = EmbeddedChat(
        embedded=embedded,
        model=embedded.model,
        base_url=embedded.base_url,
        api_key=SecretStr(embedded.api_key),
        max_retries=0,
        timeout=_TIMEOUT_SECONDS,
        stream_usage=True,
    )
    return chat.set_up(RetryPolicy(), _ADVICE, [embedded.api_key])


def tool_on_the_wire(tool: Any) -> dict[str, Any]:
    """A LangChain tool as the model is told of it."""
    definition = convert_to_openai_tool(tool)
    for home in ("extras", "metadata"):
        notes: Mapping[str, Any] = getattr(tool, home, None) or {}
        if examples := notes.get("examples"):
            shown = [_plain(example) for example in cast("Sequence[Any]", examples)]
            return {**definition, "function": {**definition["function"], "x-examples": shown}}
    return definition


def _plain(example: Any) -> dict[str, Any]:
    """An example as a mapping, whether it is one or an object such as `ToolExample`."""
    if isinstance(example, Mapping):
        fields = cast("Mapping[str, Any]", example)
        return {"request": fields["request"], "arguments": dict(fields["arguments"])}
    return {"request": example.request, "arguments": dict(example.arguments)}


class EmbeddedChat(OpenAIChat):
    """See the module."""

    embedded: EmbeddedModel = Field(exclude=True, repr=False)

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        on_the_wire = [tool_on_the_wire(tool) for tool in tools]
        return super().bind_tools(on_the_wire, **kwargs)  # pyright: ignore[reportUnknownMemberType] - untyped there

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        await self.embedded.ready()
        return await super()._agenerate(*args, **kwargs)

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        await self.embedded.ready()
        async for chunk in super()._astream(*args, **kwargs):
            yield chunk
