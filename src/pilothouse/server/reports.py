"""Routes that tell how runs went: an extension of the protocol."""

import time
from collections.abc import Sequence
from contextlib import aclosing

from starlette.responses import Response

from pilothouse.events import RunEnded
from pilothouse.server.calls import Call, Operation, body_operation, json_reply, operation
from pilothouse.server.following import CAUGHT_UP, next_batch
from pilothouse.server.parts import Parts
from pilothouse.wire import decoding
from pilothouse.wire.run_reports import RunReport, RunReporter, RunSearch, RunSummary, run_summary


class ReportRoutes:
    def __init__(self, parts: Parts) -> None:
        self._runs = parts.runs
        self._log = parts.log

    def operations(self) -> Sequence[Operation]:
        return (
            body_operation("POST", "/runs/search", RunSearch, self.search, reply=list[RunSummary]),
            operation("GET", "/runs/{run_id}", self.report, reply=RunReport),
        )

    async def search(self, call: Call, body: RunSearch) -> Response:
        """Find runs, the newest first: of one thread, or of those that changed last."""
        page = {"limit": body.limit, "offset": body.offset}
        if body.thread_id is None:
            runs = await self._runs.search(call.principal, status=body.status, **page)
        else:
            thread_id = decoding.thread_id(body.thread_id)
            runs = await self._runs.list(call.principal, thread_id, status=body.status, **page)
        return json_reply([run_summary(run) for run in runs])

    async def report(self, call: Call) -> Response:
        """Tell how a run went so far: its attempts, times, calls and tokens."""
        thread_id = await self._runs.thread_of(call.principal, call.run_id)
        run = await self._runs.get(call.principal, thread_id, call.run_id)
        reporter, asked_at_ms = RunReporter(run), time.time_ns() // 1_000_000
        async with aclosing(self._log.follow(run.principal, run.thread_id, run.run_id)) as batches:
            while batch := await next_batch(batches, CAUGHT_UP):
                for record in batch:
                    reporter.absorb(record)
                if isinstance(batch[-1].event, RunEnded) or batch[-1].at_ms > asked_at_ms:
                    break
        return json_reply(reporter.report())
