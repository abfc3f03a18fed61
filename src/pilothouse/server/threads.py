"""Routes of threads: the record, and how it is found, copied and deleted. Their states are in `states`."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import msgspec
from starlette.responses import Response

from pilothouse.errors import InvalidRequest, NotFound
from pilothouse.events import ThreadId
from pilothouse.ports.principals import Principal
from pilothouse.ports.threads import Thread, ThreadQuery
from pilothouse.server.calls import (
    Call,
    Operation,
    body_operation,
    json_bytes,
    json_reply,
    operation,
    pagination,
)
from pilothouse.server.parts import Parts
from pilothouse.server.states import States
from pilothouse.wire import decoding
from pilothouse.wire.replies import encode_all
from pilothouse.wire.threads import (
    Superstep,
    ThreadCount,
    ThreadCreate,
    ThreadPatch,
    ThreadPrune,
    ThreadReply,
    ThreadSearch,
    thread_reply,
)

_STATES_AT_ONCE = 8
_SCANNED_AT_ONCE = 100
_NEEDS_STATE = frozenset({"values", "interrupts"})


class ThreadRoutes:
    def __init__(self, parts: Parts, states: States) -> None:
        self._threads = parts.threads
        self._checkpoints = parts.checkpoints
        self._crons = parts.crons
        self._states = states

    def hot_operations(self) -> Sequence[Operation]:
        """What every conversation begins with: to be matched first."""
        return (
            body_operation(
                "POST",
                "/threads",
                ThreadCreate,
                self.create,
                reply=ThreadReply,
            ),
        )

    def operations(self) -> Sequence[Operation]:
        one = "/threads/{thread_id}"
        many = list[ThreadReply]
        return (
            body_operation("POST", "/threads/search", ThreadSearch, self.search, reply=many),
            body_operation("POST", "/threads/count", ThreadCount, self.count, reply=int),
            body_operation("POST", "/threads/prune", ThreadPrune, self.prune),
            operation("GET", one, self.get, reply=ThreadReply),
            body_operation("PATCH", one, ThreadPatch, self.patch, reply=ThreadReply),
            operation("DELETE", one, self.delete),
            operation("POST", f"{one}/copy", self.copy, reply=ThreadReply),
        )

    async def create(self, call: Call, body: ThreadCreate) -> Response:
        """Create a thread."""
        thread_id = decoding.thread_id(body.thread_id) if body.thread_id else ThreadId(str(uuid4()))
        thread = await self._threads.create(
            call.principal,
            thread_id,
            body.metadata or {},
            if_exists=body.if_exists or "raise",
            ttl=body.lifetime(),
        )
        for step in body.supersteps or ():
            await self._apply(call.principal, thread, step)
        return json_reply(thread_reply(thread))

    async def _apply(self, principal: Principal, thread: Thread, step: Superstep) -> None:
        engine = await self._states.engine_to_write(thread)
        for update in step.updates:
            if update.command is not None:
                raise InvalidRequest("Supersteps with a command are not supported: give values.")
            await engine.update_state(principal, thread.thread_id, update.values, as_node=update.as_node)

    async def get(self, call: Call) -> Response:
        """Get a thread with the values and interrupts of its state."""
        thread = await self._threads.get(call.principal, call.thread_id)
        return json_reply(await self._with_state(call.principal, thread))

    async def patch(self, call: Call, body: ThreadPatch) -> Response:
        """Set pairs of a thread's metadata; the others stay."""
        if body.ttl is not None:
            raise InvalidRequest("A thread's ttl can be set only when it is created.")
        thread = await self._threads.merge_metadata(call.principal, call.thread_id, body.metadata or {})
        if call.header("prefer") == "return=minimal":
            return Response(status_code=204)
        return json_reply(await self._with_state(call.principal, thread))

    async def delete(self, call: Call) -> Response:
        """Delete a thread with its runs, its crons and its state."""
        await self._delete(call.principal, call.thread_id)
        return Response(status_code=204)

    async def _delete(self, principal: Principal, thread_id: ThreadId) -> None:
        await self._threads.delete(principal, thread_id)
        await self._crons.delete_for_thread(principal, thread_id)
        await self._checkpoints.delete_thread(principal, thread_id)

    async def prune(self, call: Call, body: ThreadPrune) -> Response:
        """Delete several threads; those that do not exist are passed over."""
        if body.strategy != "delete":
            raise InvalidRequest("Pruning with keep_latest is not supported yet.")
        thread_ids = [decoding.thread_id(text) for text in body.thread_ids]
        pruned = 0
        for thread_id in thread_ids:
            try:
                await self._delete(call.principal, thread_id)
                pruned += 1
            except NotFound:
                continue
        return json_reply({"pruned_count": pruned})

    async def copy(self, call: Call) -> Response:
        """Copy a thread: its metadata and its states, not its runs."""
        source = await self._threads.get(call.principal, call.thread_id)
        metadata = msgspec.json.decode(source.metadata, type=dict[str, object])
        if source.graph_id is not None:
            metadata["graph_id"] = source.graph_id
        target = await self._threads.create(call.principal, ThreadId(str(uuid4())), metadata)
        await self._checkpoints.copy_thread(call.principal, source.thread_id, target.thread_id)
        return json_reply(await self._with_state(call.principal, target))

    async def search(self, call: Call, body: ThreadSearch) -> Response:
        """Find threads by metadata, status, ids or values of their state."""
        query = self._of_agent(body.query())
        with_states = bool(body.values) or not body.select or bool(_NEEDS_STATE.intersection(body.select))
        if body.values:
            found = await self._with_values(call.principal, query, body.values)
            total, page = len(found), found[query.offset : query.offset + query.limit]
        else:
            threads, total = await self._threads.search(call.principal, query)
            page = await self._replies(call.principal, threads, with_states)
        return json_bytes(
            encode_all(ThreadReply, page, body.select), pagination(total, query.offset, query.limit)
        )

    async def count(self, call: Call, body: ThreadCount) -> Response:
        """Count threads by metadata, status or values of their state."""
        query = self._of_agent(body.query())
        if body.values:
            return json_reply(len(await self._with_values(call.principal, query, body.values)))
        _, total = await self._threads.search(call.principal, query)
        return json_reply(total)

    def _of_agent(self, query: ThreadQuery) -> ThreadQuery:
        """The query with the agent's own id, by whichever it was named; no thread belongs to an unknown one."""
        if query.graph_id is None:
            return query
        with suppress(NotFound):
            return msgspec.structs.replace(query, graph_id=self._states.agent_id(query.graph_id))
        return query

    async def _with_values(
        self, principal: Principal, query: ThreadQuery, values: Mapping[str, object]
    ) -> list[ThreadReply]:
        """All matching threads whose state has these values. Each state is read, so this is slow with many threads."""
        found: list[ThreadReply] = []
        offset, total = 0, 1
        while offset < total:
            part = msgspec.structs.replace(query, offset=offset, limit=_SCANNED_AT_ONCE)
            threads, total = await self._threads.search(principal, part)
            replies = await self._replies(principal, threads, with_states=True)
            found += [reply for reply in replies if _has(reply, values)]
            offset += _SCANNED_AT_ONCE
        return found

    async def _replies(
        self, principal: Principal, threads: Sequence[Thread], with_states: bool
    ) -> list[ThreadReply]:
        if not with_states:
            return [thread_reply(thread) for thread in threads]
        slots = asyncio.Semaphore(_STATES_AT_ONCE)

        async def read(thread: Thread) -> ThreadReply:
            async with slots:
                return await self._with_state(principal, thread)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read(thread)) for thread in threads]
        return [task.result() for task in tasks]

    async def _with_state(self, principal: Principal, thread: Thread) -> ThreadReply:
        return thread_reply(thread, await self._states.newest_or_none(principal, thread))


_values = msgspec.json.Decoder(dict[str, Any])


def _has(reply: ThreadReply, values: Mapping[str, object]) -> bool:
    if not bytes(reply.values).startswith(b"{"):
        return False
    known = _values.decode(reply.values)
    return all(known.get(key) == value for key, value in values.items())
