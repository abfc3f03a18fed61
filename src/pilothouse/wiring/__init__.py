"""Puts the parts together: the only place that names concrete adapters."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette

from pilothouse.engines.catalog import Catalog
from pilothouse.ports.engines import AgentInfo
from pilothouse.runs.crons import CronRunner
from pilothouse.runs.runner import Runner
from pilothouse.server.app import Parts, create_app
from pilothouse.server.origins import LOOPBACK_HOSTS
from pilothouse.settings import Settings
from pilothouse.stores.items.lazy import LazyItems
from pilothouse.stores.items.postgres import postgres_items
from pilothouse.stores.runs.log import RedisRunLog
from pilothouse.webhooks.addresses import WebhookAddresses
from pilothouse.webhooks.deliveries import Deliveries
from pilothouse.webhooks.sending import Sender
from pilothouse.webhooks.signing import secrets_from
from pilothouse.wire.webhooks import webhook_body
from pilothouse.wiring.agents import AgentLoader
from pilothouse.wiring.identity import authenticator
from pilothouse.wiring.models import OpenModels
from pilothouse.wiring.push import open_push, pushed_work
from pilothouse.wiring.reports import Preparation, Report
from pilothouse.wiring.stores import RunStores, open_run_stores, postgres_url
from pilothouse.wiring.telemetry import open_telemetry

__all__ = ["App", "Report", "open_app"]

_SHORT_RUN_SECONDS = 0.5
"""So long may runs go on after SIGTERM before they are handed over."""
_UNBROKEN_SECONDS = 4.5
"""So long after that may calls of tools that can't be made twice."""


@dataclass
class App:
    """A whole instance that works on runs, and its ASGI app to be served."""

    asgi: Starlette
    _runner: Runner
    _working: asyncio.Task[None]
    _stopping: asyncio.Event
    _log: RedisRunLog

    async def drain(self) -> None:
        """Take no more runs, let short ones end, hand the others over (elsewhere they go on at once), and end streams."""
        self._stopping.set()
        await asyncio.wait([self._working], timeout=_SHORT_RUN_SECONDS)
        self._runner.hand_over()
        self._log.close()
        await asyncio.wait([self._working], timeout=_UNBROKEN_SECONDS)
        self._working.cancel()
        await asyncio.wait([self._working])


@asynccontextmanager
async def open_app(settings: Settings, report: Report) -> AsyncGenerator[App]:
    """Everything that the settings ask for, open and at work until the block ends.

    Agents are loaded in the background: one that can't be loaded says so in the log and in `/info`, and the others are
    served. Raises `ConfigurationError` or `StoreUnavailable`.
    """
    preparation = Preparation(report)
    sender = Sender(WebhookAddresses(settings.webhook_hosts), secrets_from(settings.webhook_secret))
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_run_stores(settings))
        measuring = await stack.enter_async_context(open_telemetry(settings, stores.queue))
        items = await stack.enter_async_context(LazyItems(lambda: _items(settings, preparation)))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        models = OpenModels(settings, preparation, tasks)
        stack.callback(models.close)
        push = await stack.enter_async_context(open_push(settings.push, tasks))
        loader = AgentLoader(settings, stores, models, tasks)
        catalog = loader.catalog()
        stopping = asyncio.Event()
        checkpoints = _checkpoints(stores)
        runner = Runner(
            catalog,
            stores.queue,
            stores.runs,
            stores.threads,
            checkpoints,
            settings.run_limits,
            measuring.telemetry,
        )
        background = [
            tasks.create_task(stores.signals.run()),
            tasks.create_task(measuring.run()),
            tasks.create_task(_load_agents(catalog, preparation)),
            tasks.create_task(CronRunner(stores.due_crons, stores.runs, push).run()),
            tasks.create_task(Deliveries(stores.webhooks, sender, catalog, webhook_body).run()),
        ]
        working = tasks.create_task(runner.work(settings.concurrency, stopping))
        parts = Parts(
            agents=catalog,
            threads=stores.threads,
            runs=stores.runs,
            log=stores.log,
            checkpoints=checkpoints,
            items=items,
            crons=stores.crons,
            check_webhook=sender.check,
            telemetry=measuring.telemetry,
            metrics=measuring.metrics,
            authenticate=authenticator(settings.auth),
            status=lambda: _status(stopping, preparation),
            max_body_bytes=settings.max_body_bytes,
            allowed_hosts=None if settings.auth else LOOPBACK_HOSTS,
            push=push,
            work=pushed_work(settings.push, push, stores.queue, stopping),
        )
        try:
            yield App(create_app(parts), runner, working, stopping, stores.log)
        finally:
            for task in (*background, *loader.preparing, working):
                task.cancel()


def _checkpoints(stores: RunStores) -> Any:
    from pilothouse.stores.checkpoints.threads import RedisCheckpoints

    redis: Any = stores.redis
    return RedisCheckpoints(redis, stores.ttl)


@asynccontextmanager
async def _items(settings: Settings, report: Report) -> AsyncGenerator[Any]:
    async with postgres_url(settings, report.say) as url, postgres_items(url) as items:
        yield items


async def _load_agents(catalog: Catalog, report: Report) -> None:
    def loaded(agent: AgentInfo) -> None:
        if agent.problem:
            report.say(f"agent {agent.agent_id} can't be served: {agent.problem}")
        else:
            model = f" with {agent.model}" if agent.model else ""
            report.say(f"agent {agent.agent_id} is ready{model}")

    await catalog.load_all(loaded)
    # What is loaded now stays: the collector need not look through the agents' libraries again and again.
    gc.collect()
    gc.freeze()


def _status(stopping: asyncio.Event, preparation: Preparation) -> Mapping[str, Any]:
    return {
        "ready": not stopping.is_set(),
        "reason": "The server is stopping." if stopping.is_set() else None,
        "preparing": preparation.under_way,
    }
