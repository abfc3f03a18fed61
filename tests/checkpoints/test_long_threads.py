"""Threads that grow, branch, and are copied and thinned."""

import operator
from typing import Annotated, Any
from uuid import uuid4

from langchain_core.messages import HumanMessage, RemoveMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, StateGraph
from redis.asyncio import Redis
from tests.checkpoints.threads import TTL, chat, config, on, saver, say, texts
from typing_extensions import TypedDict

from pilothouse.events import RunId, ThreadId
from pilothouse.ports.principals import LOCAL
from pilothouse.stores import keys
from pilothouse.stores.checkpoints.threads import RedisCheckpoints


async def size(redis: Redis, thread_id: str) -> int:
    thread = keys.thread(LOCAL, ThreadId(thread_id))
    names = [f"{thread}:cp", f"{thread}:cp:ids", f"{thread}:cp:lists"]
    return sum([await redis.memory_usage(name, samples=0) or 0 for name in names])


def test_memory_grows_with_the_turns_of_a_conversation_not_with_their_square(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        place = config()
        thread_id = place["configurable"]["thread_id"]
        sizes: list[int] = []
        for turn in range(60):
            await say(redis, place, f"turn {turn}")
            sizes.append(await size(redis, thread_id))
        early, late = sizes[29] - sizes[9], sizes[59] - sizes[39]
        assert late < 2 * early  # with every version in full it would be 2.6

    on(redis_url, scenario)


def test_every_checkpoint_of_a_long_conversation_reads_as_it_was_saved(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        place = config()
        thread_id = place["configurable"]["thread_id"]
        said = [
            str(message.content)
            for turn in range(20)
            for message in (await say(redis, place, f"turn {turn}"))[-2:]
        ]
        lengths: set[int] = set()
        async for found in saver(redis).alist(place):
            messages = found.checkpoint["channel_values"].get("messages", [])
            assert [message.content for message in messages] == said[: len(messages)]
            lengths.add(len(messages))
        assert lengths == set(range(41))
        assert await texts(redis, config(thread_id)) == said

    on(redis_url, scenario)


def test_branches_of_a_thread_keep_what_each_has_said(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        place = config()
        thread_id = place["configurable"]["thread_id"]
        for turn in range(8):
            await say(redis, place, f"turn {turn}")
        trunk = await saver(redis).aget_tuple(place)
        assert trunk is not None
        fork = config(thread_id, trunk.checkpoint["id"])
        tips = []
        for branch in ("left", "right"):
            await say(redis, fork, branch)
            tips.append(await saver(redis).aget_tuple(place))
        for branch, tip in zip(("left", "right"), tips, strict=True):
            assert tip is not None
            again = await texts(redis, config(thread_id, tip.checkpoint["id"]))
            assert again[:16] == await texts(redis, fork)
            assert again[16] == branch

    on(redis_url, scenario)


def test_a_list_that_is_rewritten_is_stored_anew(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        place = config()
        first, *_ = [await say(redis, place, f"turn {turn}") for turn in range(8)]
        graph = chat.compile(checkpointer=saver(redis))
        await graph.aupdate_state(place, {"messages": [RemoveMessage(str(first[0].id))]}, as_node="answer")
        assert (await texts(redis, place))[1] == "turn 1"
        await say(redis, place, "afterwards")
        kept = await texts(redis, place)
        assert kept[1] == "turn 1"
        assert kept[-2] == "afterwards"
        assert len(kept) == 17

    on(redis_url, scenario)


def test_two_lists_that_grow_by_turns_stay_apart(redis_url: str) -> None:
    class Two(TypedDict):
        left: Annotated[list[str], operator.add]
        right: Annotated[list[str], operator.add]

    async def scenario(redis: Redis) -> None:
        graph = StateGraph(Two).add_node("right", lambda _: {"right": ["r" * 100]}).add_edge(START, "right")
        place = config()
        for _ in range(90):
            async with saver(redis) as checkpointer:
                state = await graph.compile(checkpointer=checkpointer).ainvoke({"left": ["l" * 100]}, place)
        assert state == {"left": ["l" * 100] * 90, "right": ["r" * 100] * 90}
        found = await saver(redis).aget_tuple(place)
        assert found is not None
        assert found.checkpoint["channel_values"]["left"] == state["left"]
        assert found.checkpoint["channel_values"]["right"] == state["right"]

    on(redis_url, scenario)


def test_a_saver_whose_list_is_gone_from_redis_stores_it_whole(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        place = config()
        for turn in range(8):
            await say(redis, place, f"turn {turn}")
        checkpointer = saver(redis)
        graph = chat.compile(checkpointer=checkpointer)
        await checkpointer.aget_tuple(place)
        before = await texts(redis, place)

        async def forget_then_answer(state: Any) -> dict[str, Any]:
            await saver(redis).adelete_thread(place["configurable"]["thread_id"])
            return {"messages": [HumanMessage("it is all still here")]}

        graph = (
            chat.__class__(chat.state_schema)
            .add_node(forget_then_answer)
            .add_edge(START, "forget_then_answer")
        )
        await graph.compile(checkpointer=checkpointer).ainvoke(
            {"messages": [("user", "forget")]}, place, durability="sync"
        )
        assert await texts(redis, place) == [*before, "forget", "it is all still here"]

    on(redis_url, scenario)


def test_a_copy_is_whole_and_lives_on_its_own(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        source, target = config(), config()
        for turn in range(12):
            await say(redis, source, f"turn {turn}")
        threads = RedisCheckpoints(redis, TTL)
        await threads.copy_thread(LOCAL, _thread(source), _thread(target))
        assert await texts(redis, target) == await texts(redis, source)
        originals = [found.checkpoint async for found in saver(redis).alist(source)]
        assert [found.checkpoint async for found in saver(redis).alist(target)] == originals
        for suffix in ("", ":ids", ":lists"):
            assert (
                0
                < await redis.ttl(f"{keys.thread(LOCAL, _thread(target))}:cp{suffix}")
                <= TTL.total_seconds()
            )

        await say(redis, target, "only here")
        await threads.delete_thread(LOCAL, _thread(source))
        assert await texts(redis, source) == []
        assert (await texts(redis, target))[-2] == "only here"
        assert len(await texts(redis, target)) == 26

    on(redis_url, scenario)


def test_copying_an_empty_thread_makes_nothing(valkey_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        target = config()
        await RedisCheckpoints(redis, TTL).copy_thread(LOCAL, ThreadId("nothing here"), _thread(target))
        assert await redis.exists(f"{keys.thread(LOCAL, _thread(target))}:cp") == 0

    on(valkey_url, scenario)


def test_deleting_what_runs_saved_leaves_the_thread_as_it_was_before_them(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        place = config()
        for turn in range(8):
            await say(redis, place, f"turn {turn}")
        before, was = await saver(redis).aget_tuple(place), await size(redis, _thread(place))
        runs = [RunId(str(uuid4())), RunId(str(uuid4()))]
        for run_id in runs:
            graph = chat.compile(checkpointer=saver(redis))
            await graph.ainvoke(
                {"messages": [("user", "x" * 5000)]}, {**place, "metadata": {"run_id": run_id}}
            )
        assert await size(redis, _thread(place)) > was + 10_000

        await RedisCheckpoints(redis, TTL).delete_for_runs(LOCAL, _thread(place), runs)
        assert await saver(redis).aget_tuple(place) == before
        await say(redis, place, "and on")
        assert len(await texts(redis, place)) == 18

    on(redis_url, scenario)


def test_pruning_gives_memory_back(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        place = config()
        for turn in range(12):
            await say(redis, place, f"turn {turn}")
            graph = chat.compile(checkpointer=saver(redis))
            (first, *_) = (await graph.aget_state(place)).values["messages"]
            await graph.aupdate_state(place, {"messages": [RemoveMessage(first.id)]}, as_node="answer")
        was, latest = await size(redis, _thread(place)), await saver(redis).aget_tuple(place)

        await saver(redis).aprune([_thread(place)])
        assert await saver(redis).aget_tuple(place) == latest
        assert await size(redis, _thread(place)) < was / 5
        await say(redis, place, "and on")
        assert (await texts(redis, place))[-2] == "and on"

    on(redis_url, scenario)


def test_pruning_keeps_what_a_delta_channel_is_rebuilt_from(redis_url: str) -> None:
    def extend(kept: list[str], writes: Any) -> list[str]:
        return [*kept, *(item for write in writes for item in write)]

    class Log(TypedDict):
        lines: Annotated[list[str], DeltaChannel(extend, list, snapshot_frequency=4)]

    async def scenario(redis: Redis) -> None:
        builder = StateGraph(Log).add_node("tick", lambda _: {"lines": ["tick"]}).add_edge(START, "tick")
        place = config()
        for turn in range(7):
            graph = builder.compile(checkpointer=saver(redis))
            await graph.ainvoke({"lines": [f"turn {turn}"]}, place)
            await saver(redis).aprune([_thread(place)])
        state = await builder.compile(checkpointer=saver(redis)).aget_state(place)
        assert state.values["lines"] == [line for turn in range(7) for line in (f"turn {turn}", "tick")]
        assert len([found async for found in saver(redis).alist(place)]) < 12

    on(redis_url, scenario)


def _thread(place: Any) -> ThreadId:
    return ThreadId(place["configurable"]["thread_id"])
