"""A thread, runs on it, and agents whose tools count what they do."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any
from uuid import uuid4

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import StateGraph
from tests.checkpoints.threads import TTL
from tests.engines.graphs import ask, json_of, read, run

from pilothouse.engines.langgraph.engine import LangGraphEngine
from pilothouse.engines.langgraph.factories import FixedGraph
from pilothouse.events import AgentId, Attempt, RunEvent, RunId, RunOutcome, ThreadId
from pilothouse.ports.engines import EngineRequest
from pilothouse.ports.principals import LOCAL
from pilothouse.ports.runs import RunInput
from pilothouse.stores import keys
from pilothouse.stores.checkpoints.journal import Fence
from pilothouse.stores.checkpoints.redis import RedisCheckpointer
from pilothouse.stores.client import connect
from pilothouse.stores.runs.lease import Stop
from pilothouse.stores.tool_calls.redis import RedisToolCalls

APPROVE = {"decisions": [{"type": "approve"}]}


def tool_calls(
    redis: Any,
    thread_id: ThreadId,
    run_id: RunId,
    attempt: int = 1,
    *,
    fresh: bool = False,
    ttl: timedelta = TTL,
) -> RedisToolCalls:
    return RedisToolCalls(redis, LOCAL, thread_id, run_id, Attempt(attempt), ttl=ttl, fresh=fresh)


class SlowCheckpointer(RedisCheckpointer):
    """As if Redis were far away."""

    async def aput(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0.02)
        return await super().aput(*args, **kwargs)


class Place:
    """A thread of its own, and engines on it."""

    checkpointer = RedisCheckpointer

    def __init__(self, redis: Any, thread_id: ThreadId | None = None) -> None:
        self.redis = redis
        self.principal = LOCAL
        self.thread_id = thread_id or ThreadId(str(uuid4()))
        self.events: list[RunEvent] = []
        """Those of the run that was driven last."""
        self.stop = Stop()

    def engine(self, graph: Any) -> LangGraphEngine:
        def calls_for(request: EngineRequest) -> RedisToolCalls:
            fresh = request.request.input is not None
            return tool_calls(self.redis, request.thread_id, request.run_id, request.attempt, fresh=fresh)

        return LangGraphEngine(
            FixedGraph(graph.compile() if isinstance(graph, StateGraph) else graph),
            lambda principal, fence: self.checkpointer(
                self.redis, principal, ttl=TTL, fence=Fence(*fence) if fence else None
            ),
            tool_calls_for=calls_for,
        )

    async def begin(self, run_id: RunId | None = None) -> tuple[RunId, Attempt]:
        """A run, or the next attempt at it, as the queue hands it out."""
        begun = run_id or RunId(f"{uuid4().hex}{keys.partition_of_thread(self.thread_id):x}")
        await self.redis.hset(keys.run(begun), mapping={"status": "running"})
        return begun, Attempt(await self.redis.hincrby(keys.run(begun), "attempt", 1))

    async def end(self, run_id: RunId) -> None:
        await self.redis.hset(keys.run(run_id), mapping={"status": "success"})

    async def drive(
        self,
        engine: LangGraphEngine,
        *,
        run_id: RunId | None = None,
        after: RunOutcome | None = None,
        **fields: Any,
    ) -> list[Any]:
        """A run, or its next attempt, to its end. Returns the values of the interrupts that it ended with."""
        begun, attempt = await self.begin(run_id)
        try:
            await self.iterate(engine, self.request(begun, attempt, after=after, **fields))
        finally:
            await self.end(begun)
        return [read(each.value) for each in await engine.interrupts(LOCAL, self.thread_id)]

    async def resume(self, engine: LangGraphEngine, answer: object, **fields: Any) -> list[Any]:
        command = json_of({"resume": answer})
        return await self.drive(engine, command=command, after="interrupted", **fields)

    async def iterate(self, engine: LangGraphEngine, request: EngineRequest) -> None:
        self.events = []
        async with aclosing(engine.run(request)) as batches:
            async for batch in batches:
                self.events += batch

    def request(
        self, run_id: RunId, attempt: int, *, after: RunOutcome | None = None, **fields: Any
    ) -> EngineRequest:
        if not fields.keys() & {"input", "command"}:
            fields["input"] = ask()
        fields.setdefault("stream_modes", ())
        return EngineRequest(
            LOCAL,
            AgentId("agent"),
            self.thread_id,
            run_id,
            Attempt(attempt),
            RunInput(**fields),
            after=after,
            stop=self.stop,
        )

    async def crash(
        self, engine: LangGraphEngine, when: asyncio.Event, *, run_id: RunId | None = None, **fields: Any
    ) -> RunId:
        """Begin an attempt and stop it when the event is set, as if its process had died."""
        begun, attempt = await self.begin(run_id)
        async with asyncio.TaskGroup() as tasks:
            driving = tasks.create_task(self.iterate(engine, self.request(begun, attempt, **fields)))
            await when.wait()
            driving.cancel()
        return begun

    async def recorded(self) -> int:
        """How many results of tools are recorded."""
        fields = await self.redis.hgetall(keys.calls(LOCAL, self.thread_id))
        return sum(field.startswith(b"r") and field != b"run" for field in fields)

    async def messages(self, engine: LangGraphEngine) -> list[dict[str, Any]]:
        state = read(await engine.state(LOCAL, self.thread_id))
        return state["values"].get("messages", [])

    async def contents(self, engine: LangGraphEngine) -> list[str]:
        return [message["content"] for message in await self.messages(engine)]


def on(redis_url: str, scenario: Callable[[Place], Awaitable[None]]) -> None:
    async def main() -> None:
        redis: Any = connect(redis_url)
        try:
            await scenario(Place(redis))
        finally:
            await redis.aclose()

    run(main())


class CallingModel(BaseChatModel):
    """Asks for these tools, each time by other ids, until the conversation ends with results, which it then repeats."""

    wanted: list[tuple[str, dict[str, Any]]]

    @property
    def _llm_type(self) -> str:
        return "calling"

    def bind_tools(self, *args: Any, **kwargs: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        if isinstance(messages[-1], ToolMessage):
            results = [str(message.content) for message in messages if isinstance(message, ToolMessage)]
            message = AIMessage(f"done: {', '.join(results)}")
        else:
            calls: list[Any] = [
                {"name": name, "args": arguments, "id": f"call-{uuid4()}", "type": "tool_call"}
                for name, arguments in self.wanted
            ]
            message = AIMessage("", tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=message)])
