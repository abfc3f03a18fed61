"""How well does the embedded model choose and use tools? Through the built-in assistant, with real tools and a fixed clock.

    python bench/embedded/run.py                the hold-out sets
    python bench/embedded/run.py development    the sets that were used while the method was made

Weights are taken from the data directory (`PILOTHOUSE_DATA`, else the default) and fetched if missing.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import development
import development_own
import holdout
import own_tools
import seen
import seen_own_tools
import seen_own_tools_2
from cases import CLOCK, LOCAL_ZONE, Case

from pilothouse.engines.assistant import build_assistant
from pilothouse.models.embedded.catalogue import QWEN_CODER_0_5B, QWEN_CODER_1_5B
from pilothouse.models.embedded.client import embedded_chat
from pilothouse.models.embedded.sidecar import EmbeddedModel
from pilothouse.ports.tools import Tool
from pilothouse.tools.builtin import builtin_tools

HERE = Path(__file__).parent
DATA = Path(os.environ.get("PILOTHOUSE_DATA", Path.home() / ".local/share/pilothouse"))  # noqa: TID251 - a script


@dataclass(frozen=True)
class Outcome:
    """What became of a case."""

    case: Case
    called: tuple[str, ...]
    arguments: str
    answer: str
    seconds: float

    @property
    def right_tool(self) -> bool:
        return set(self.called) == ({self.case.tool} if self.case.tool else set())

    @property
    def right_answer(self) -> bool:
        return self.right_tool and any(part.lower() in self.answer.lower() for part in self.case.answers)


async def ask(graph: Any, messages: list[Any], request: str) -> list[Any]:
    """The conversation after the assistant has answered."""
    return (await graph.ainvoke({"messages": [*messages, ("user", request)]}))["messages"]


async def outcome(graph: Any, case: Case) -> Outcome:
    messages: list[Any] = []
    for request in case.after:
        messages = await ask(graph, messages, request)
    started = time.monotonic()
    after = await ask(graph, messages, case.request)
    seconds = time.monotonic() - started
    calls = [
        call for message in after[len(messages) :] for call in getattr(message, "tool_calls", None) or ()
    ]
    return Outcome(
        case,
        tuple(call["name"] for call in calls),
        " then ".join(str(call["args"]) for call in calls),
        str(after[-1].content),
        seconds,
    )


async def measure(embedded: EmbeddedModel, tools: Sequence[Tool], cases: Sequence[Case]) -> list[Outcome]:
    graph = build_assistant("evaluation", embedded_chat(embedded), tools=tools)
    await ask(graph, [], cases[0].request)  # has the tools' examples read before the clock runs
    outcomes: list[Outcome] = []
    for case in cases:
        found = await outcome(graph, case)
        outcomes.append(found)
        if not (found.right_answer if case.tool else found.right_tool):
            before = " | ".join(case.after)
            print(
                f"  wrong: {before} > {case.request!r} -> {found.called} {found.arguments} {found.answer[:90]!r}"
            )
    return outcomes


def share(good: int, of: int) -> str:
    return f"{100 * good / of:.0f} % ({good}/{of})" if of else "-"


def row(name: str, outcomes: Sequence[Outcome]) -> str:
    asking = [found for found in outcomes if found.case.tool]
    talking = [found for found in outcomes if not found.case.tool]
    cells = [
        name,
        share(sum(found.right_tool for found in asking), len(asking)),
        share(sum(found.right_answer for found in asking), len(asking)),
        share(sum(found.right_tool for found in talking), len(talking)),
        f"{statistics.median(found.seconds for found in asking):.1f}",
        f"{statistics.median(found.seconds for found in talking):.1f}" if talking else "-",
    ]
    return "| " + " | ".join(cells) + " |"


HEAD = """| set | right tool | right final answer | quiet on small talk | median s, tool turn | median s, small talk |
| --- | --- | --- | --- | --- | --- |
"""


def sets(which: str) -> list[tuple[str, Sequence[Tool], Sequence[Case]]]:
    builtin = list(builtin_tools(local_zone=LOCAL_ZONE, clock=lambda: CLOCK).values())
    unseen = [
        ("hold-out: built-in tools and small talk", builtin, holdout.CASES),
        ("hold-out: five tools of a user's own, three examples each", own_tools.TOOLS, own_tools.CASES),
        ("hold-out: follow-ups", builtin, holdout.FOLLOW_UPS),
    ]
    known = [
        ("development: built-in tools and small talk", builtin, development.CASES),
        ("development: follow-ups", builtin, development.FOLLOW_UPS),
        ("development: tools of a user's own", development_own.TOOLS, development_own.CASES),
        ("first hold-out, seen since: built-in tools and small talk", builtin, seen.CASES),
        ("first hold-out, seen since: tools of a user's own", seen_own_tools.TOOLS, seen_own_tools.CASES),
        (
            "second hold-out, seen since: tools of a user's own",
            seen_own_tools_2.TOOLS,
            seen_own_tools_2.CASES,
        ),
        ("first hold-out, seen since: follow-ups", builtin, seen.FOLLOW_UPS),
    ]
    return {"holdout": unseen, "development": known}[which]


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("which", nargs="?", default="holdout", choices=["holdout", "development"])
    parser.add_argument("--better", action="store_true", help="the 1.5B model")
    parser.add_argument("--only", help="sets whose name contains this")
    options = parser.parse_args()
    model = QWEN_CODER_1_5B if options.better else QWEN_CODER_0_5B
    rows: list[str] = []
    async with EmbeddedModel(DATA, model=model) as embedded:
        await embedded.ready()
        for name, tools, cases in sets(options.which):
            if not options.only or options.only in name:
                rows.append(row(name, await measure(embedded, tools, cases)))
                print(rows[-1], flush=True)
    print(f"\n{model.label}\n\n{HEAD}" + "\n".join(rows))


if __name__ == "__main__":
    asyncio.run(main())
