"""What the checkpointer does beyond LangGraph's own suite."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from langgraph.types import Command
from redis.asyncio import Redis
from tests.checkpoints.threads import TTL, answer, approval, chat, config, on, saver, say, texts

from pilothouse.errors import InvalidRequest, LeaseLost, StoreUnavailable
from pilothouse.events import Attempt, RunId, ThreadId
from pilothouse.ports.principals import LOCAL, Principal, UserId
from pilothouse.stores import keys
from pilothouse.stores.checkpoints.journal import Fence
from pilothouse.stores.checkpoints.redis import RedisCheckpointer

OTHER = Principal(UserId("somebody@else"))


def test_a_conversation_goes_on_in_another_process(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        place = config()
        await say(redis, place, "first")
        messages = await say(redis, place, "second")
        assert [message.content for message in messages][::2] == ["first", "second"]
        assert messages[3].content.endswith("x3")
        assert await texts(redis, place) == [message.content for message in messages]

    on(redis_url, scenario)


def test_an_interrupted_run_waits_in_redis_for_its_answer(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        place = config()
        async with saver(redis) as checkpointer:
            asked = await approval.compile(checkpointer=checkpointer).ainvoke({"question": "Sure?"}, place)
        assert [question.value for question in asked["__interrupt__"]] == ["Sure?"]
        async with saver(redis) as checkpointer:
            graph = approval.compile(checkpointer=checkpointer)
            assert (await graph.aget_state(place)).next == ("ask",)
            resumed = await graph.ainvoke(Command(resume="yes"), place)
        assert resumed["verdict"] == "yes"

    on(redis_url, scenario)


def test_a_turn_takes_three_round_trips(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        counts: list[int] = []
        for _ in range(6):
            before = await redis.info("commandstats")
            await say(redis, config(), "hello")
            after = await redis.info("commandstats")
            counts.append(_scripts_run(after) - _scripts_run(before))
        assert (
            min(counts) == 3
        )  # a machine that is busy at the wrong moment lets writes that would wait go by themselves

    on(redis_url, scenario)


def _scripts_run(statistics: Any) -> int:
    return int(statistics.get("cmdstat_evalsha", {"calls": 0})["calls"])


def test_the_checkpoint_of_an_input_is_saved_though_nothing_follows(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        place = config()
        async with saver(redis) as checkpointer:
            graph = chat.compile(checkpointer=checkpointer)
            stored = await graph.aupdate_state(place, {"messages": [("user", "hello")]}, as_node="__input__")
            assert await checkpointer.aget_tuple(stored) is not None
        found = await saver(redis).aget_tuple(place)
        assert found is not None
        assert found.metadata["source"] == "input"

    on(redis_url, scenario)


@pytest.mark.parametrize(
    "thread_id", ["a/b", "a:b", "{a}{b}", "naïve-ünïcode-☃", "a b*?[c]", "a:cp", "x" * 200]
)
def test_any_text_may_be_a_thread_id(redis_url: str, thread_id: str) -> None:
    async def scenario(redis: Redis) -> None:
        own, longer = config(thread_id), config(f"{thread_id}:cp:ids")
        await say(redis, own, "mine")
        await say(redis, longer, "another")
        assert (await texts(redis, own))[::2] == ["mine"]
        assert (await texts(redis, longer))[::2] == ["another"]
        await saver(redis).adelete_thread(thread_id)
        assert await texts(redis, own) == []
        assert (await texts(redis, longer))[::2] == ["another"]
        await saver(redis).adelete_thread(f"{thread_id}:cp:ids")

    on(redis_url, scenario)


def test_a_thread_of_somebody_else_is_empty(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        place = config()
        await say(redis, place, "mine")
        stranger = saver(redis, OTHER)
        assert await stranger.aget_tuple(place) is None
        assert [found async for found in stranger.alist(place)] == []
        await stranger.adelete_thread(place["configurable"]["thread_id"])
        await stranger.aprune([place["configurable"]["thread_id"]], strategy="delete")
        assert (await texts(redis, place))[::2] == ["mine"]

    on(redis_url, scenario)


def test_every_key_of_a_thread_expires_after_its_last_write(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        place = config()
        for turn in range(10):
            await say(redis, place, f"turn {turn}")
        thread = keys.thread(LOCAL, ThreadId(place["configurable"]["thread_id"]))
        names = [f"{thread}:cp", f"{thread}:cp:ids", f"{thread}:cp:lists"]
        for name in names:
            await redis.pexpire(name, 5_000)
        await say(redis, place, "another turn")
        for name in names:
            assert 5 < await redis.ttl(name) <= TTL.total_seconds()

    on(redis_url, scenario)


def _run_id(thread_id: str) -> RunId:
    """A run's id ends in its thread's partition."""
    return RunId(f"{uuid4().hex}{keys.partition_of_thread(ThreadId(thread_id)):x}")


def test_an_attempt_that_was_superseded_saves_nothing_more(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        place = config("fenced")
        run_id = _run_id("fenced")
        await redis.hset(keys.run(run_id), mapping={"attempt": "1", "status": "running"})
        first = saver(redis, fence=Fence(run_id, Attempt(1)))
        graph = chat.compile(checkpointer=first)
        await graph.ainvoke({"messages": [("user", "hello")]}, place)
        stored = await first.aget_tuple(place)
        assert stored is not None
        assert stored.metadata["run_id"] == run_id

        await redis.hset(keys.run(run_id), "attempt", "2")
        with pytest.raises(LeaseLost):
            await first.aput_writes(stored.config, [("messages", "late")], "task")
        with pytest.raises(LeaseLost):
            await graph.ainvoke({"messages": [("user", "again")]}, place)
        assert await saver(redis).aget_tuple(place) == stored

        second = saver(redis, fence=Fence(run_id, Attempt(2)))
        await second.aput_writes(stored.config, [("messages", "in time")], "task")
        await redis.delete(keys.run(run_id))
        with pytest.raises(LeaseLost):
            await second.aput_writes(stored.config, [("messages", "of a run that was deleted")], "task")
        await saver(redis).adelete_thread("fenced")

    on(redis_url, scenario)


def test_a_superseded_attempt_fails_its_run_even_where_round_trips_are_shared(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        async with saver(redis, fence=Fence(_run_id("gone"), Attempt(1))) as checkpointer:
            graph = chat.compile(checkpointer=checkpointer)
            with pytest.raises(LeaseLost):
                await graph.ainvoke({"messages": [("user", "hello")]}, config("gone"))
        assert await texts(redis, config("gone")) == []

    on(redis_url, scenario)


def test_checkpoints_are_listed_across_namespaces_newest_first(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        place = config()
        thread_id = place["configurable"]["thread_id"]
        inner = chat.compile(checkpointer=True)
        outer = chat.__class__(chat.state_schema).add_node("inner", inner).add_edge("__start__", "inner")
        checkpointer = saver(redis)
        await outer.compile(checkpointer=checkpointer).ainvoke({"messages": [("user", "hello")]}, place)

        everywhere = [found async for found in checkpointer.alist({"configurable": {"thread_id": thread_id}})]
        namespaces = {found.config["configurable"]["checkpoint_ns"] for found in everywhere}
        ids = [found.checkpoint["id"] for found in everywhere]
        assert namespaces == {"", "inner"}
        assert ids == sorted(ids, reverse=True)
        page = [found.checkpoint["id"] async for found in checkpointer.alist(place, limit=2)]
        rest = checkpointer.alist(place, before=config(thread_id, page[-1]), filter={"source": "input"})
        assert [found.metadata["step"] async for found in rest] == [-1]

    on(redis_url, scenario)


def test_listing_without_a_thread_is_refused(valkey_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        with pytest.raises(InvalidRequest, match="by thread"):
            _ = [found async for found in saver(redis).alist(None)]

    on(valkey_url, scenario)


def test_the_synchronous_methods_are_not_there(valkey_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        with pytest.raises(NotImplementedError):
            saver(redis).get_tuple(config())

    on(valkey_url, scenario)


def test_a_server_that_is_gone_is_named_as_such() -> None:
    async def scenario() -> None:
        async with Redis(unix_socket_path="/nowhere/redis.sock", retry=None) as redis:
            checkpointer = RedisCheckpointer(redis, LOCAL, ttl=timedelta(minutes=1))
            with pytest.raises(StoreUnavailable, match="can't be reached"):
                await checkpointer.aget_tuple(config())

    asyncio.run(scenario())


def test_values_keep_their_types(redis_url: str) -> None:
    async def scenario(redis: Redis) -> None:
        values = {
            "none": None,
            "bytes": b"\x00\xff",
            "empty": [],
            "set": {1, 2},
            "message": answer({"messages": []})["messages"],
            "numbers": list(range(5000)),
        }
        versions = dict.fromkeys(values, "00000001.1")
        checkpoint = {"v": 2, "id": "1", "ts": "", "channel_values": values, "channel_versions": versions}
        place = await saver(redis).aput(config(), {**checkpoint, "versions_seen": {}}, {"step": 0}, versions)
        found = await saver(redis).aget_tuple(place)
        assert found is not None
        assert found.checkpoint["channel_values"] == values

    on(redis_url, scenario)
