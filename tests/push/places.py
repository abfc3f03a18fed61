"""A server whose background runs are pushed, and the Cloud Tasks that pushes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from google.cloud.tasks_v2 import CloudTasksAsyncClient, CreateQueueRequest, Queue, RetryConfig
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport
from grpc.aio import insecure_channel
from tests.server.conftest import Silent
from tests.server.serving import Gate, says

from pilothouse.settings import load
from pilothouse.testing.cloud_tasks_server import CloudTasksServer
from pilothouse.testing.loopback import LoopbackServer
from pilothouse.testing.oidc_issuer import OidcIssuer
from pilothouse.wiring import App, open_app

LOCATION = "projects/p/locations/l"
QUEUE = f"{LOCATION}/queues/pushes"
ACCOUNT = "pusher@p.iam.gserviceaccount.com"
AGENTS = Path(__file__).parent / "agents" / "agent.py"
DEADLINE_SECONDS = 40


@dataclass
class Google:
    """Cloud Tasks with one queue, its client, and who signs its tokens."""

    issuer: OidcIssuer
    tasks: CloudTasksServer
    client: CloudTasksAsyncClient

    async def statuses(self, count: int) -> list[int | None]:
        """Of the requests so far, once there are this many."""
        await self.tasks.until(lambda tasks: len(tasks.dispatches) >= count)
        return [dispatch.status for dispatch in self.tasks.dispatches]


@asynccontextmanager
async def google(port: int = 0, **queue: Any) -> AsyncIterator[Google]:
    retries = RetryConfig(min_backoff="0.1s", max_backoff="0.5s")
    settings = {"name": QUEUE, "retry_config": retries, **queue}
    async with OidcIssuer() as issuer:
        tasks = CloudTasksServer(issuer, port)
        await tasks.create_queue(CreateQueueRequest(parent=LOCATION, queue=Queue(**settings)))
        async with tasks, insecure_channel(tasks.endpoint) as channel:
            transport = CloudTasksGrpcAsyncIOTransport(channel=channel)
            yield Google(issuer, tasks, CloudTasksAsyncClient(transport=transport))


def write_configuration(folder: Path, google: Google | None, url: str, **push: object) -> Path:
    """A folder to serve."""
    agents = [f'[agents.{name}]\nfunction = "{AGENTS}:{name}"' for name in ("slow", "gated")]
    table: dict[str, object] = {}
    if google is not None:
        table = {"queue": QUEUE, "url": url, "service_account": ACCOUNT, "endpoint": google.tasks.endpoint}
        table |= {"jwks_url": google.issuer.jwks_url, **push}
    lines = ["[push]" if table else "", *(f"{key} = {value!r}" for key, value in table.items())]
    folder.mkdir(exist_ok=True)
    (folder / "pilothouse.toml").write_text("\n".join([*agents, *lines]))
    return folder


@dataclass
class Pushed:
    """A server in this process, and the Google that it knows."""

    url: str
    app: App
    http: httpx.AsyncClient
    google: Google
    folder: Path

    @asynccontextmanager
    async def gate(self, name: str = "gate") -> AsyncIterator[Gate]:
        gate = Gate(str(self.folder / name))
        async with await asyncio.start_unix_server(gate.hold, gate.path):
            try:
                yield gate
            finally:
                gate.open()

    async def work(self, token: str | None = None) -> httpx.Response:
        """What a push of ours, past the queue, is answered."""
        token = token or self.google.issuer.token(self.url, ACCOUNT)
        return await self.http.post("/internal/work", headers={"Authorization": f"Bearer {token}"})


@asynccontextmanager
async def pushed(folder: Path, redis_url: str, port: int, **push: object) -> AsyncIterator[Pushed]:
    url = f"http://127.0.0.1:{port}"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(DEADLINE_SECONDS))
        cloud = await stack.enter_async_context(google())
        root = write_configuration(folder / "served", cloud, url, **push)
        settings = load(
            root, environ={"PILOTHOUSE_REDIS": redis_url, "PILOTHOUSE_DATA": str(folder / "data")}
        )
        app = await stack.enter_async_context(open_app(settings, Silent()))
        await stack.enter_async_context(LoopbackServer(app.asgi, port))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
        yield Pushed(url, app, http, cloud, folder)


def run_of(agent: str, text: str = "", **fields: object) -> dict[str, object]:
    """The body that starts a run."""
    return {"assistant_id": agent, "input": says(text), "on_completion": "keep", **fields}


async def start(http: httpx.AsyncClient, agent: str, text: str = "", **fields: object) -> str:
    """Start a run that no client waits for; its path."""
    reply = await http.post("/runs", json=run_of(agent, text, **fields))
    assert reply.status_code == 200, reply.text
    return reply.headers["content-location"]


async def status(http: httpx.AsyncClient, path: str) -> str:
    return (await http.get(path)).json()["status"]
