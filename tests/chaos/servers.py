"""Real instances over one Redis, with a journal outside of them, for tests that harm them."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from bench.chaos.client import Client
from bench.chaos.cluster import Cluster, Instance, cluster
from bench.chaos.journal import Journal, journal
from bench.chaos.suite import AGENT

AGENTS = Path(__file__).parent / "agents"

__all__ = ["AGENT", "AGENTS", "Servers", "create", "new_thread", "servers"]


@dataclass
class Servers:
    cluster: Cluster
    journal: Journal
    http: httpx.AsyncClient

    @property
    def instances(self) -> list[Instance]:
        return list(self.cluster.instances)

    def executing(self, pid: int) -> Instance:
        """The instance with this process."""
        return next(one for one in self.instances if one.pid == pid)

    def other(self, than: Instance) -> Instance:
        return next(one for one in self.instances if one is not than)

    def client(self, at: Instance, *, silence: float, within: float = 60) -> Client:
        """One that talks to this instance alone."""
        deadline = time.monotonic() + within
        return Client(lambda: at.url, random.Random(0), lambda: deadline, silence)


@asynccontextmanager
async def servers(
    project: Path, folder: Path, *, instances: int = 2, environment: Mapping[str, str] | None = None
) -> AsyncGenerator[Servers]:
    async with journal() as notes:
        extra = {"CHAOS_JOURNAL": notes.url, "OPENAI_BASE_URL": f"{notes.url}/hang", "OPENAI_API_KEY": "none"}
        async with (
            cluster(project, folder, instances=instances, environment={**extra, **(environment or {})}) as up,
            httpx.AsyncClient(trust_env=False, timeout=20, limits=httpx.Limits(max_connections=None)) as http,
        ):
            yield Servers(up, notes, http)


async def new_thread(of: Servers, at: Instance) -> str:
    reply = await of.http.post(f"{at.url}/threads", json={})
    reply.raise_for_status()
    return str(reply.json()["thread_id"])


async def create(
    of: Servers, at: Instance, thread_id: str, agent: str, text: str = "go", **body: Any
) -> httpx.Response:
    """Ask for a run."""
    asked = {"assistant_id": agent, "input": {"messages": [{"role": "user", "content": text}]}, **body}
    return await of.http.post(f"{at.url}/threads/{thread_id}/runs", json=asked)


async def ended(of: Servers, at: Instance, thread_id: str, run_id: str, *, within: float = 20) -> str:
    """A run's status, once it has one that stays; `gone` if there is none any more."""
    url = f"{at.url}/threads/{thread_id}/runs/{run_id}"
    async with asyncio.timeout(within):
        await of.http.get(f"{url}/join")
    run = await of.http.get(url)
    return str(run.json()["status"]) if run.status_code != 404 else "gone"
