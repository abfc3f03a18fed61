"""LangGraph checkpoints in Redis, with the commands of its core alone. `scripts` shows how they lie there."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Self, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from redis.asyncio import Redis

from pilothouse.errors import InvalidRequest
from pilothouse.events import RunId, ThreadId
from pilothouse.ports.principals import Principal
from pilothouse.stores import keys
from pilothouse.stores.checkpoints import codec, scripts
from pilothouse.stores.checkpoints.journal import Entry, Fence, Journal, ListVersion
from pilothouse.stores.checkpoints.known import Known
from pilothouse.stores.checkpoints.threads import RedisCheckpoints
from pilothouse.stores.client import outlasting_outages

_LONG = 2048
"""From this many bytes on, a list is stored by what each version adds to it."""
_PAGE = 25
_SLACK = timedelta(seconds=30)


class RedisCheckpointer(BaseCheckpointSaver[str]):
    """The checkpoints of one principal's threads. Made anew for each use; LangGraph's contract, its async half only.

    A thread's checkpoints live for `ttl` after the last write to any of them. With a fence every write raises
    `LeaseLost` once the run has a newer attempt or is gone, and checkpoints carry its `run_id` in their metadata.
    """

    def __init__(
        self,
        redis: Redis,
        principal: Principal,
        *,
        ttl: timedelta,
        fence: Fence | None = None,
        serde: SerializerProtocol | None = None,
    ) -> None:
        if serde is not None:  # the default is the class's, and LangGraph's check of it is not cheap
            super().__init__(serde=serde)
        self._redis = redis
        self._principal = principal
        self._fence = fence
        self._threads = RedisCheckpoints(redis, ttl)
        self._journal = Journal(redis, int(ttl.total_seconds() * 1000), fence)
        self._lists: dict[tuple[str, str], tuple[str, bytes]] = {}
        """By thread and channel, the version of a long list that was read or written last: its field and its items."""
        self._known = Known()
        self._has_deltas = False
        """A checkpoint of a graph with a `DeltaChannel` waits for the writes to it."""

    async def __aenter__(self) -> Self:
        """For the time of a run: its writes then share round trips, for a few milliseconds' delay. See `journal`."""
        await self._journal.__aenter__()
        return self

    async def __aexit__(self, error: type[BaseException] | None, *rest: object) -> None:
        await self._journal.__aexit__(error, *rest)

    def get_next_version(self, current: str | None, channel: None) -> str:
        """Greater than `current`, and another one on each branch of a thread: branches must not share a blob."""
        number = int(current.partition(".")[0]) + 1 if current else 1
        return f"{number:08d}.{random.getrandbits(32):08x}"

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        thread_id, namespace, checkpoint_id = _place(config)
        self._known.namespaces.add((thread_id, namespace))
        return await self._load(thread_id, namespace, checkpoint_id)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        thread_id, namespace, parent = _place(config)
        thread, values = self._key(thread_id), checkpoint["channel_values"]
        metadata = get_serializable_checkpoint_metadata(config, metadata)
        if self._fence:
            metadata["run_id"] = self._fence.run_id
        self._has_deltas = "counters_since_delta_snapshot" in metadata
        entry = Entry(
            "input" if metadata.get("source") == "input" else "checkpoint",
            thread,
            f"{namespace}\0{checkpoint['id']}",
            codec.dump_checkpoint(self.serde, checkpoint, metadata, parent),
        )
        for channel, version in new_versions.items():
            if channel in values:
                self._add_value(entry, f"b{namespace}\0{channel}", str(version), values[channel])
        with self._known.given(thread_id, namespace, checkpoint["id"]):
            await self._journal.write(entry)
        return codec.config_of(thread_id, namespace, checkpoint["id"])

    def saves(self, thread_id: str, namespace: str) -> bool:
        """Whether a graph has used this saver for that namespace."""
        return (thread_id, namespace) in self._known.namespaces

    async def saved(self, thread_id: str, checkpoints: Mapping[str, str]) -> None:
        """Return when these checkpoints (ids by namespace), and all that was written to the thread before, are in Redis.

        Raises what kept a checkpoint from it.
        """
        async with asyncio.timeout((self._journal.patience + _SLACK).total_seconds()):
            await self._known.wait_for({(thread_id, *place) for place in checkpoints.items()})
            await self._journal.settle(self._key(thread_id))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        thread_id, namespace, checkpoint_id = _place(config)
        frame = codec.dump_writes(self.serde, writes, task_id, task_path)
        # Where LangGraph waits for a write, or ends with it, it must not be patient.
        patient = not (self._has_deltas or any(channel in WRITES_IDX_MAP for channel, _ in writes))
        kind = "patient writes" if patient else "writes"
        await self._journal.write(Entry(kind, self._key(thread_id), f"{namespace}\0{checkpoint_id}", frame))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002  # LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Newest first; without `checkpoint_ns` those of all namespaces. Raises `InvalidRequest` without a thread."""
        if config is None:
            raise InvalidRequest("Checkpoints are listed by thread: name one in configurable.thread_id.")
        thread_id, _, only = _place(config)
        # LangGraph's own saver reads the id alone, so that is all that callers give.
        end = before.get("configurable", {}).get("checkpoint_id") if before else None
        namespace = cast("dict[str, Any]", config)["configurable"].get("checkpoint_ns")
        self._known.namespaces.add((thread_id, namespace or ""))
        places = [
            (name.rpartition("\0")[0], name.rpartition("\0")[2])
            for name in await self._threads.names(self._principal, ThreadId(thread_id), namespace)
        ]
        places = [place for place in places if only in (None, place[1]) and (not end or place[1] < end)]
        left = len(places) if limit is None else limit
        for start in range(0, len(places), _PAGE):
            for place in await self._matching(thread_id, places[start : start + _PAGE], filter):
                if left <= 0:
                    return
                if found := await self._load(thread_id, *place):
                    left -= 1
                    yield found

    async def adelete_thread(self, thread_id: str) -> None:
        await self._threads.delete_thread(self._principal, ThreadId(thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Looks at all of the user's threads. `RedisCheckpoints.delete_for_runs` is told the thread, and does not."""
        await self._threads.delete_for_runs_anywhere(self._principal, [RunId(run_id) for run_id in run_ids])

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self._threads.copy_thread(
            self._principal, ThreadId(source_thread_id), ThreadId(target_thread_id)
        )

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """`keep_latest` also keeps the ancestors that a `DeltaChannel` of the latest is rebuilt from."""
        for thread_id in map(ThreadId, thread_ids):
            if strategy == "delete":
                await self._threads.delete_thread(self._principal, thread_id)
            elif strategy == "keep_latest":
                await self._keep_latest(thread_id)
            else:
                raise InvalidRequest(
                    f"There is no strategy {strategy!r} for pruning: use keep_latest or delete."
                )

    async def _load(
        self, thread_id: str, namespace: str, checkpoint_id: str | None
    ) -> CheckpointTuple | None:
        await self._journal.flush()
        thread = self._key(thread_id)
        names, wanted = scripts.thread_keys(thread), checkpoint_id or ""
        answer = await outlasting_outages(
            lambda: scripts.run(self._redis, scripts.READ, names, namespace, wanted), self._journal.patience
        )
        if answer is None:
            return None
        self._known.add(thread_id, namespace, answer[0].decode())
        for field, items in codec.lists_of(namespace, answer):
            channel = field.rpartition("\0")[0]
            self._lists[thread, channel] = (field, items)
        return codec.load_checkpoint(self.serde, thread_id, namespace, answer)

    def _add_value(self, entry: Entry, channel: str, version: str, value: object) -> None:
        """Put a channel's new value into the entry: whole, or what a long list adds to the version before it."""
        field, typed = f"{channel}\0{version}", codec.dump(self.serde, value)
        array = codec.array_of(typed) if isinstance(value, list) and len(typed) >= _LONG else None
        if array is None:
            entry.blobs.append((field, typed))
            return
        header, items = array
        base, stored = self._lists.get((entry.thread, channel), ("", b""))
        if not items.startswith(stored):
            base, stored = "", b""
        entry.lists.append(ListVersion(field, base, len(stored), header, items))
        self._lists[entry.thread, channel] = (field, items)

    async def _matching(
        self, thread_id: str, places: Sequence[tuple[str, str]], wanted: Mapping[str, Any] | None
    ) -> Sequence[tuple[str, str]]:
        """Those of the checkpoints whose metadata has every pair of `wanted`."""
        if not wanted:
            return places
        names = [f"{namespace}\0{checkpoint_id}" for namespace, checkpoint_id in places]
        found: list[tuple[str, str]] = []
        for name, frame in await self._threads.frames(self._principal, ThreadId(thread_id), names):
            metadata = codec.load_metadata(self.serde, frame)
            if all(metadata.get(key) == value for key, value in wanted.items()):
                found.append((name.rpartition("\0")[0], name.rpartition("\0")[2]))
        return found

    async def _keep_latest(self, thread_id: ThreadId) -> None:
        names = await self._threads.names(self._principal, thread_id)
        frames = dict(await self._threads.frames(self._principal, thread_id, names))
        keep: set[str] = set()
        seen: set[str] = set()
        for name in names:
            namespace = name.rpartition("\0")[0]
            if namespace not in seen:
                seen.add(namespace)
                keep |= codec.lineage(self.serde, frames, name)
        await self._threads.drop(self._principal, thread_id, [name for name in names if name not in keep])

    def _key(self, thread_id: str) -> str:
        return keys.thread(self._principal, ThreadId(thread_id))


def _place(config: RunnableConfig) -> tuple[str, str, str | None]:
    """Thread, namespace and checkpoint that a config names."""
    configurable = config.get("configurable", {})
    return (
        str(configurable["thread_id"]),
        configurable.get("checkpoint_ns") or "",
        configurable.get("checkpoint_id") or None,
    )
