"""Routes of crons: runs that start again and again."""

from collections.abc import Sequence
from datetime import timedelta

from starlette.responses import Response

from pilothouse.errors import NotFound
from pilothouse.events import AgentId, ThreadId
from pilothouse.ports.crons import Cron, CronId, CronPlan
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
from pilothouse.server.runs import agent_to_run
from pilothouse.wire import decoding
from pilothouse.wire.assistants import find_agent
from pilothouse.wire.crons import (
    CronCount,
    CronCreate,
    CronPatch,
    CronReply,
    CronSearch,
    cron_plan,
    cron_reply,
)
from pilothouse.wire.replies import encode_all


class CronRoutes:
    def __init__(self, parts: Parts) -> None:
        self._agents = parts.agents
        self._threads = parts.threads
        self._crons = parts.crons
        self._check_webhook = parts.check_webhook
        self._push = parts.push

    def operations(self) -> Sequence[Operation]:
        one, of_thread = "/runs/crons/{cron_id}", "/threads/{thread_id}/runs/crons"
        return (
            body_operation("POST", of_thread, CronCreate, self.create_for_thread, reply=CronReply),
            body_operation("POST", "/runs/crons", CronCreate, self.create, reply=CronReply),
            body_operation("POST", "/runs/crons/search", CronSearch, self.search, reply=list[CronReply]),
            body_operation("POST", "/runs/crons/count", CronCount, self.count, reply=int),
            operation("GET", one, self.get, reply=CronReply),
            body_operation("PATCH", one, CronPatch, self.patch, reply=CronReply),
            operation("DELETE", one, self.delete),
        )

    async def create(self, call: Call, body: CronCreate) -> Response:
        """Create a cron whose runs get a thread each."""
        return await self._create(call, body, None)

    async def create_for_thread(self, call: Call, body: CronCreate) -> Response:
        """Create a cron whose runs take place on a thread."""
        if body.if_not_exists != "create":
            await self._threads.get(call.principal, call.thread_id)
        return await self._create(call, body, call.thread_id)

    async def _create(self, call: Call, body: CronCreate, thread_id: ThreadId | None) -> Response:
        plan = self._checked(cron_plan(body, agent_to_run(self._agents, body.assistant_id)))
        return await self._reply(await self._crons.create(call.principal, thread_id, plan))

    async def _reply(self, cron: Cron) -> Response:
        """Where the platform gives CPU only to requests, there is one when the cron fires next."""
        if self._push is not None and cron.next_run_ms is not None:
            await self._push.ask(timedelta(milliseconds=max(0, cron.next_run_ms - cron.updated_at_ms)))
        return json_reply(cron_reply(cron))

    def _checked(self, plan: CronPlan) -> CronPlan:
        if plan.webhook is not None:
            self._check_webhook(plan.webhook)
        return plan

    async def get(self, call: Call) -> Response:
        """Get a cron."""
        return json_reply(cron_reply(await self._crons.get(call.principal, _cron_id(call))))

    async def patch(self, call: Call, body: CronPatch) -> Response:
        """Change a cron: fields that are not given stay as they are, and null takes one away."""
        changed = await self._crons.update(
            call.principal, _cron_id(call), lambda plan: self._checked(body.apply(plan))
        )
        return await self._reply(changed)

    async def delete(self, call: Call) -> Response:
        """Delete a cron; runs that it has started go on."""
        await self._crons.delete(call.principal, _cron_id(call))
        return Response(status_code=204)

    async def search(self, call: Call, body: CronSearch) -> Response:
        """Find crons by agent, thread, metadata, or whether they are on."""
        query = body.query(self._agent_id(body.assistant_id))
        found, total = await self._crons.search(call.principal, query)
        replies = [cron_reply(cron) for cron in found]
        return json_bytes(
            encode_all(CronReply, replies, body.select), pagination(total, query.offset, query.limit)
        )

    async def count(self, call: Call, body: CronCount) -> Response:
        """Count crons by agent, thread, metadata, or whether they are on."""
        query = body.query(self._agent_id(body.assistant_id))
        _, total = await self._crons.search(call.principal, query)
        return json_reply(total)

    def _agent_id(self, name: str | None) -> AgentId | None:
        """The agent of this name; no cron belongs to an unknown one."""
        if name is None:
            return None
        try:
            return find_agent(self._agents.list(), name).agent_id
        except NotFound:
            return AgentId(name)


def _cron_id(call: Call) -> CronId:
    return decoding.cron_id(call.path("cron_id"))
