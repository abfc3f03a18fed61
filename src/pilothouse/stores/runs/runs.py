"""Runs in Redis: create, look up, cancel, delete. The log is in `log`, the workers' side in `queue`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import msgspec

from pilothouse.errors import Conflict, InvalidRequest, TooBusy
from pilothouse.events import Attempt, Offset, Record, RunId, RunStarted, ThreadId
from pilothouse.ports.principals import Principal
from pilothouse.ports.runs import CancelAction, NewRun, Run, RunStatus
from pilothouse.stores import keys
from pilothouse.stores.client import Redis
from pilothouse.stores.runs import scripts
from pilothouse.stores.runs.backlog import Backlog
from pilothouse.stores.runs.log import CANCELLED, encode_event, no_such_run
from pilothouse.stores.runs.queue import RedisRunQueue
from pilothouse.stores.runs.records import now_ms, outcome_from, run_fields, run_from
from pilothouse.stores.runs.search import newest_runs
from pilothouse.stores.runs.threads import milliseconds, no_such_thread
from pilothouse.stores.runs.uuid7 import uuid7

_UNFINISHED = (b"pending", b"running")
_KEY_LASTS_MS = milliseconds(timedelta(days=1))


@dataclass(frozen=True)
class Caps:
    """How many runs there may be; None is no limit."""

    user_runs: int | None = None
    """Unfinished ones of a user."""
    waiting_runs: int | None = None
    """Waiting for their turn on one thread."""


def _digest(new: NewRun) -> str:
    """What tells whether two requests with one idempotency key are the same; "" without a key."""
    if new.idempotency_key is None:
        return ""
    asked = (new.agent_id, new.request, new.metadata, new.multitask_strategy, new.delay, new.webhook)
    return sha256(msgspec.json.encode(asked)).hexdigest()


def _earlier_run(answer: bytes, new: NewRun) -> RunId:
    """The run that this one's key stands for. Raises what else kept it from being created."""
    thread = f"Thread {new.thread_id}"
    match answer:
        case b"missing":
            raise no_such_thread(new.thread_id)
        case b"busy":
            raise Conflict(
                f"{thread} is busy with a run: wait for it, cancel it, or use another multitask_strategy."
            )
        case b"full":
            raise TooBusy(f"{thread} has as many runs waiting as may be: try again when some have ended.")
        case b"answered":
            raise Conflict(f"{thread} waits for no answer: it was answered already, or has gone on since.")
        case b"reused":
            raise InvalidRequest("This idempotency key came with another request before: use a new one.")
        case _:
            return RunId(answer.decode())


def new_run_id(thread_id: ThreadId) -> RunId:
    """A UUID whose last digit is the thread's partition (see `stores.keys`); later ones sort after earlier ones."""
    value = uuid7().int
    return RunId(str(UUID(int=value - value % keys.PARTITIONS + keys.partition_of_thread(thread_id))))


def _pending(run_id: RunId, principal: Principal, new: NewRun, now: int) -> Run:
    """As it is before it begins."""
    return Run(
        run_id=run_id,
        thread_id=new.thread_id,
        agent_id=new.agent_id,
        principal=principal,
        created_at_ms=now,
        updated_at_ms=now,
        metadata=new.metadata,
        request=new.request,
        multitask_strategy=new.multitask_strategy,
        delete_thread_after=new.delete_thread_after,
        trace=new.trace,
    )


class RedisRuns:
    """The port `Runs`. A run lives for `ttl` after its end."""

    def __init__(
        self, redis: Redis, ttl: timedelta, backlog: Backlog, caps: Caps, queue: RedisRunQueue
    ) -> None:
        self._queue = queue
        self._redis = redis
        self._backlog = backlog
        self._caps = caps
        self._admit = redis.register_script(scripts.ADMIT)
        self._ttl = milliseconds(ttl)
        self._create = redis.register_script(scripts.CREATE_RUN)
        self._cancel = redis.register_script(scripts.CANCEL)
        self._delete = redis.register_script(scripts.DELETE_RUN)

    async def create(self, principal: Principal, new: NewRun) -> Run:
        now, run_id = now_ms(), new_run_id(new.thread_id)
        self._backlog.admit()
        if self._caps.user_runs is not None:
            await self._admit_user(principal, run_id, self._caps.user_runs)
        prefix = keys.prefix(keys.partition_of_run(run_id))
        started = RunStarted(run_id, new.thread_id, new.agent_id, Attempt(1))
        due = now + milliseconds(new.delay) if new.delay else 0
        ttl = self._ttl + max(0, due - now)
        about = (
            new.if_thread_missing,
            new.multitask_strategy,
            encode_event(started),
            CANCELLED,
            due,
            new.agent_id,
        )
        once = (
            new.idempotency_key or "",
            _KEY_LASTS_MS,
            _digest(new),
            int(new.resumes),
            self._caps.waiting_runs or "",
        )
        run = _pending(run_id, principal, new, now)
        with self._queue.offer() as offer:
            async with self._redis.pipeline(transaction=False) as pipe:
                if not new.delete_thread_after:
                    pipe.zadd(keys.threads(principal), {new.thread_id: now})
                await self._create(
                    keys=[keys.thread(principal, new.thread_id), keys.run(run_id)],
                    args=[
                        *(prefix, run_id, now, ttl, *about, *once, offer.consumer),
                        *run_fields(principal, new, now),
                    ],
                    client=pipe,
                )
                *_, answer = await pipe.execute()
            match answer:
                case [b"begun", bytes(entry), bytes(last)]:
                    begun = msgspec.structs.replace(
                        run, status="running", attempt=Attempt(1), begun_at_ms=now, after=outcome_from(last)
                    )
                    offer.begin(begun, entry, Record(Offset(1), started, now))
                case [b"other", bytes(entry), bytes(other)]:
                    offer.start(RunId(other.decode()), entry)
                case b"ok":
                    self._backlog.add()
                case _:
                    return await self.get(principal, new.thread_id, _earlier_run(answer, new))
        return run

    async def _admit_user(self, principal: Principal, run_id: RunId, limit: int) -> None:
        """Count a new run. Those that have ended are found out when the limit is reached, not when they end."""
        key, ended = keys.user_runs(principal), list[RunId]()
        for _ in range(2):
            counted = await self._admit(keys=[key], args=[run_id, now_ms(), limit, self._ttl, *ended])
            if counted == 1:
                return
            known = [RunId(raw.decode()) for raw in counted]
            async with self._redis.pipeline(transaction=False) as pipe:
                for known_id in known:
                    pipe.hget(keys.run(known_id), "status")
                statuses = await pipe.execute()
            ended = [i for i, status in zip(known, statuses, strict=True) if status not in _UNFINISHED]
        raise TooBusy(
            f"You have {limit} runs under way, as many as may be: wait for one to end, or cancel one."
        )

    async def get(self, principal: Principal, thread_id: ThreadId, run_id: RunId) -> Run:
        run = await self._find(run_id)
        if run is None or run.principal != principal or run.thread_id != thread_id:
            raise no_such_run(run_id)
        return run

    async def thread_of(self, principal: Principal, run_id: RunId) -> ThreadId:
        run = await self._find(run_id)
        if run is None or run.principal != principal:
            raise no_such_run(run_id)
        return run.thread_id

    async def _find(self, run_id: RunId) -> Run | None:
        fields = await self._redis.hgetall(keys.run(run_id))
        return run_from(run_id, fields) if fields else None

    async def list(
        self,
        principal: Principal,
        thread_id: ThreadId,
        *,
        limit: int = 10,
        offset: int = 0,
        status: RunStatus | None = None,
    ) -> Sequence[Run]:
        key = keys.thread(principal, thread_id)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.exists(key)
            pipe.lrange(f"{key}:runs", 0, -1)
            exists, raw_ids = await pipe.execute()
        if not exists:
            raise no_such_thread(thread_id)
        ids = [RunId(raw.decode()) for raw in reversed(raw_ids)]
        if status is None:
            ids = ids[offset : offset + limit]
        async with self._redis.pipeline(transaction=False) as pipe:
            for run_id in ids:
                pipe.hgetall(keys.run(run_id))
            loaded = await pipe.execute()
        runs = [run_from(run_id, fields) for run_id, fields in zip(ids, loaded, strict=True) if fields]
        if status is None:
            return runs
        return [run for run in runs if run.status == status][offset : offset + limit]

    async def search(
        self,
        principal: Principal,
        *,
        limit: int = 10,
        offset: int = 0,
        status: RunStatus | None = None,
    ) -> Sequence[Run]:
        return await newest_runs(self._redis, principal, limit=limit, offset=offset, status=status)

    async def cancel(
        self, principal: Principal, thread_id: ThreadId, run_id: RunId, action: CancelAction = "interrupt"
    ) -> None:
        prefix = keys.prefix(keys.partition_of_run(run_id))
        answer = await self._cancel(
            keys=[keys.thread(principal, thread_id), keys.run(run_id)],
            args=[prefix, run_id, now_ms(), principal.user, thread_id, action, CANCELLED],
        )
        if answer == b"missing":
            raise no_such_run(run_id)

    async def delete(self, principal: Principal, thread_id: ThreadId, run_id: RunId) -> None:
        prefix = keys.prefix(keys.partition_of_run(run_id))
        answer = await self._delete(
            keys=[keys.thread(principal, thread_id), keys.run(run_id)],
            args=[prefix, run_id, principal.user, thread_id],
        )
        if answer == b"missing":
            raise no_such_run(run_id)
        if answer == b"busy":
            raise Conflict(f"Run {run_id} is under way: cancel it first.")
