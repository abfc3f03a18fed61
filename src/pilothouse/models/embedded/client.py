"""The embedded model as a LangChain chat model.

It is `ChatOpenAI` with two differences: the model is started before the first call, and tools carry their examples. Examples
are LangChain's `extras["examples"]` or `metadata["examples"]` of a tool: a list of `{"request": …, "arguments": {…}}`.
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from pilothouse.models.embedded.sidecar import EmbeddedModel

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_RETRIES = 1
_TIMEOUT_SECONDS = 300.0


def embedded_chat(embedded: EmbeddedModel, **options: Any) -> "BaseChatModel":
    """A chat model that talks to the embedded one. `options` are `ChatOpenAI`'s, such as `temperature`.

    Nothing is started until it is asked something; then its calls raise what `EmbeddedModel.ready` raises.
    """
    defaults = {"max_retries": _RETRIES, "timeout": _TIMEOUT_SECONDS, "stream_usage": True}
    return _embedded_chat_class()(
        embedded=embedded,
        model=embedded.model,
        base_url=embedded.base_url,
        api_key=embedded.api_key,
        **{**defaults, **options},
    )


def tool_on_the_wire(tool: Any) -> dict[str, Any]:
    """A LangChain tool as the model is told of it."""
    from langchain_core.utils.function_calling import convert_to_openai_tool

    return with_examples(tool, convert_to_openai_tool(tool))


def with_examples(tool: Any, definition: Mapping[str, Any]) -> dict[str, Any]:
    """A tool's definition for the wire, with the examples that the LangChain tool has."""
    for home in ("extras", "metadata"):
        if examples := (getattr(tool, home, None) or {}).get("examples"):
            function = {**definition["function"], "x-examples": [_plain(example) for example in examples]}
            return {**definition, "function": function}
    return dict(definition)


def _plain(example: Any) -> dict[str, Any]:
    if isinstance(example, Mapping):
        return {"request": example["request"], "arguments": dict(example["arguments"])}
    return {"request": example.request, "arguments": dict(example.arguments)}


@cache
def _embedded_chat_class() -> Any:
    from langchain_openai import ChatOpenAI
    from pydantic import ConfigDict, Field

    class EmbeddedChat(ChatOpenAI):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        embedded: EmbeddedModel = Field(exclude=True, repr=False)

        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return super().bind_tools([tool_on_the_wire(tool) for tool in tools], **kwargs)

        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            await self.embedded.ready()
            return await super()._agenerate(*args, **kwargs)

        async def _astream(self, *args: Any, **kwargs: Any) -> Any:
            await self.embedded.ready()
            async for chunk in super()._astream(*args, **kwargs):
                yield chunk

    return EmbeddedChat
