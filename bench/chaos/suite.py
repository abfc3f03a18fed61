"""Users who keep talking to the instances while faults happen to these."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from bench.chaos.client import Client, Lost, Seen
from bench.chaos.cluster import Cluster, cluster
from bench.chaos.faults import Fault, Faults, Plan
from bench.chaos.journal import Journal, journal

AGENT = Path(__file__).parent / "agent"
_ANSWERS = 5
"""So often is a run's question answered before it counts as one that never ends."""


@dataclass(frozen=True)
class Options:
    plan: Plan
    runs: int
    """At least so many; the users go on for as long as faults happen."""
    users: int
    seed: int
    tokens: int = 100
    token_ms: float = 30.0
    redis: str | None = None
    """The Redis or Valkey binary; without one, the embedded Valkey's."""
    end_seconds: float = 90.0
    """So long may runs take to end after the last fault."""
    longest_seconds: float = 1800.0

    @property
    def environment(self) -> dict[str, str]:
        return {"CHAOS_TOKENS": str(self.tokens), "CHAOS_TOKEN_MS": str(self.token_ms)}


@dataclass
class Conversation:
    """A thread: one question of a user, and answers to what was asked back."""

    word: str
    thread_id: str
    seen: list[Seen] = field(default_factory=list[Seen])
    decisions: list[str] = field(default_factory=list[str])
    trouble: str = ""


@dataclass
class Outcome:
    """What is there to be checked when all is over."""

    options: Options
    conversations: Sequence[Conversation]
    faults: Sequence[Fault]
    journal: Journal
    refusals: Mapping[int, int]
    deaths: Sequence[str]
    """The instances that ended though nobody had told them to."""
    seconds: float


class Suite:
    def __init__(self, options: Options, of: Cluster, notes: Journal) -> None:
        self.options = options
        self.conversations: list[Conversation] = []
        self.refusals: dict[int, int] = {}
        self.deaths: list[str] = []
        self.faults = Faults(options.plan, of, random.Random(options.seed), self._held_by)
        self._cluster = of
        self._journal = notes
        self._faults_over = False
        self._deadline = time.monotonic() + options.longest_seconds

    async def run(self, progress: Callable[["Suite"], None]) -> Outcome:
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            users = [group.create_task(self._user(number)) for number in range(self.options.users)]
            harm = group.create_task(self._harm())
            while pending := [task for task in (*users, harm) if not task.done()]:
                progress(self)
                await self._replace_the_dead()
                await asyncio.wait(pending, timeout=0.5)
        progress(self)
        return Outcome(
            self.options,
            self.conversations,
            self.faults.happened,
            self._journal,
            self.refusals,
            self.deaths,
            time.monotonic() - started,
        )

    async def _replace_the_dead(self) -> None:
        for instance in self._cluster.instances:
            if instance.died:
                self.deaths.append(instance.name)
                instance.up = False
                await instance.start()

    async def _harm(self) -> None:
        async with asyncio.timeout(self.options.longest_seconds):
            await self.faults.happen()
        self._faults_over = True
        self._deadline = min(self._deadline, time.monotonic() + self.options.end_seconds)

    async def _user(self, number: int) -> None:
        chance = random.Random(f"{self.options.seed}/{number}")
        await asyncio.sleep(chance.uniform(0, 2))
        while not self._faults_over or len(self.conversations) < self.options.runs:
            word = f"w{len(self.conversations)}"
            one = Conversation(word, str(UUID(int=chance.getrandbits(128), version=4)))
            self.conversations.append(one)
            client = Client(lambda: self._pick(chance), chance, lambda: self._deadline)
            try:
                await self._talk(client, one)
            except Lost as error:
                one.trouble = str(error)
            finally:
                for status, count in client.refusals.items():
                    self.refusals[status] = self.refusals.get(status, 0) + count
                await client.close()

    def _pick(self, chance: random.Random) -> str:
        """Of those that are not known to be gone: a paused one looks alive from outside."""
        known = [one for one in self._cluster.instances if one.up] or list(self._cluster.instances)
        return chance.choice(known).url

    async def _talk(self, client: Client, one: Conversation) -> None:
        await client.new_thread(one.thread_id)
        question = {"input": {"messages": [{"role": "user", "content": one.word}]}}
        seen = await client.start(one.thread_id, one.word, question)
        one.seen.append(seen)
        await client.follow(seen)
        for _ in range(_ANSWERS):
            if seen.status != "interrupted":
                return
            resume = await self._answer(client, one)
            seen = await client.start(one.thread_id, one.word, {"command": {"resume": resume}})
            one.seen.append(seen)
            await client.follow(seen)

    async def _answer(self, client: Client, one: Conversation) -> object:
        """What a careful human says who is asked whether to do again what was cut off: yes where nothing happened out there.
        An instance that is paused may do it yet, so that it is waited for."""
        while any(instance.paused for instance in self._cluster.instances):  # noqa: ASYNC110  # processes set no events
            await asyncio.sleep(0.2)
        await asyncio.sleep(1)
        state = await client.request("GET", f"/threads/{one.thread_id}/state")
        answers: dict[str, object] = {}
        for interrupt in state["interrupts"]:
            decisions = [self._decision(one, action) for action in interrupt["value"]["action_requests"]]
            answers[interrupt["id"]] = {"decisions": [{"type": decision} for decision in decisions]}
            one.decisions += decisions
        return answers if len(answers) > 1 else next(iter(answers.values()), None)

    def _decision(self, one: Conversation, action: Mapping[str, Any]) -> str:
        done = any(entry.facts["word"] == one.word for entry in self._journal.of("book"))
        return "reject" if action["name"] == "book" and done else "approve"

    def _held_by(self, pid: int) -> Sequence[str]:
        """The runs whose newest step was made by this process, and whose end no client has seen."""
        ended = {seen.run_id for one in self.conversations for seen in one.seen if seen.status}
        newest = {entry.facts["run_id"]: entry.facts["pid"] for entry in self._journal.of("step")}
        return [run_id for run_id, at in newest.items() if at == pid and run_id not in ended]


async def run_suite(
    options: Options, folder: Path, progress: Callable[[Suite], None], check: "Check"
) -> "tuple[Outcome, Any]":
    """`check` is called while everything is up still."""
    async with journal() as notes:
        environment = {**options.environment, "CHAOS_JOURNAL": notes.url}
        async with cluster(
            AGENT, folder, instances=3, environment=environment, redis=options.redis
        ) as servers:
            outcome = await Suite(options, servers, notes).run(progress)
            return outcome, await check(servers, outcome)


Check = Callable[[Cluster, Outcome], Any]
