"""A LangGraph graph whose model says FAKE_TOKENS tokens, FAKE_DELAY_MS apart. Every LangGraph host serves this file."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph

TOKENS = int(os.environ.get("FAKE_TOKENS", "100"))  # noqa: TID251  # an agent of the bench's own, not of Pilothouse
DELAY = float(os.environ.get("FAKE_DELAY_MS", "0")) / 1000  # noqa: TID251  # the same


class FakeModel(BaseChatModel):
    @property
    def _llm_type(self) -> str:
        return "fake"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("tok " * TOKENS))])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for _ in range(TOKENS):
            if DELAY:
                await asyncio.sleep(DELAY)
            chunk = ChatGenerationChunk(message=AIMessageChunk("tok "))
            if run_manager:
                await run_manager.on_llm_new_token("tok ", chunk=chunk)
            yield chunk


model = FakeModel()


async def call_model(state: MessagesState) -> dict[str, list[BaseMessage]]:
    return {"messages": [await model.ainvoke(state["messages"])]}


builder = StateGraph(MessagesState)
builder.add_node("model", call_model)
builder.add_edge(START, "model")
builder.add_edge("model", END)
graph = builder.compile()
