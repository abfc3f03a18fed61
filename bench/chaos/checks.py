"""The promises, checked against the evidence. Each check says what is wrong with one conversation."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from bench.chaos.client import Frame, Seen
from bench.chaos.cluster import STOP_SECONDS
from bench.chaos.evidence import Evidence
from bench.chaos.suite import Outcome

Problems = dict[str, list[str]]
"""What is wrong, by promise."""

_PREFACE_TOKENS = 10  # as the agent has it


def check(outcome: Outcome, evidence: Sequence[Evidence]) -> Problems:
    problems: Problems = {promise: [] for promise in _CHECKS}
    problems["who can't be served is told to come back"] = list(_refusals_are_clear(outcome))
    problems[f"who is told to go is gone within {STOP_SECONDS} s"] = [
        f"{fault.target} had to be killed" for fault in outcome.faults if fault.lingered
    ]
    problems["no instance ends by itself"] = [f"{name} did: see its log" for name in outcome.deaths]
    for one in evidence:
        for promise, broken in _CHECKS.items():
            problems[promise] += [f"{one.conversation.word}: {what}" for what in broken(outcome, one)]
    return problems


def lost_events(evidence: Sequence[Evidence]) -> int:
    return sum(len(_ids(one.late[seen.run_id]) - _ids(seen.frames)) for one, seen in _followed(evidence))


def doubled_events(evidence: Sequence[Evidence]) -> int:
    """Seen twice, or out of order."""
    count = 0
    for _, seen in _followed(evidence):
        ids = [frame.id for frame in seen.frames if frame.id is not None]
        count += sum(later <= earlier for earlier, later in pairwise(ids))
    return count


def begun_again(evidence: Sequence[Evidence]) -> int:
    """Messages that a client saw begin and that are in no history: a new attempt says them under another id."""
    count = 0
    for one, seen in _followed(evidence):
        count += len(_streamed(seen.frames)[0].keys() - {message["id"] for message in one.messages})
    return count


def _followed(evidence: Sequence[Evidence]) -> Iterator[tuple[Evidence, Seen]]:
    return ((one, seen) for one in evidence for seen in one.conversation.seen if seen.run_id in one.late)


def _ids(frames: Sequence[Frame]) -> set[int]:
    return {frame.id for frame in frames if frame.id is not None}


def _refusals_are_clear(outcome: Outcome) -> Iterator[str]:
    for status, count in outcome.refusals.items():
        if status not in (429, 503):
            yield f"{count} requests were answered with {status}"


def _every_run_ends(outcome: Outcome, one: Evidence) -> Iterator[str]:
    if one.conversation.trouble:
        yield one.conversation.trouble
    for run in one.runs:
        if run["status"] not in ("success", "interrupted"):
            error = one.logs[run["run_id"]][-1].event.get("error") or {}
            yield f"run {run['run_id']} is {run['status']}: {error.get('code')}"
    if one.conversation.seen and one.conversation.seen[-1].status != "success":
        yield f"the last run ended with {one.conversation.seen[-1].status!r}"
    for run_id, log in one.logs.items():
        ends = sum(entry.kind == "end" for entry in log)
        if ends != 1 or log[-1].kind != "end":
            yield f"run {run_id} has {ends} ends in its log"


def _no_run_is_lost(outcome: Outcome, one: Evidence) -> Iterator[str]:
    there = {run["run_id"] for run in one.runs}
    for seen in one.conversation.seen:
        if seen.run_id not in there:
            yield f"run {seen.run_id} was acknowledged and is gone"
    if more := there - {seen.run_id for seen in one.conversation.seen}:
        yield f"runs {more} were made beside those that the client asked for"


def _logs_are_gapless(outcome: Outcome, one: Evidence) -> Iterator[str]:
    for run_id, log in one.logs.items():
        offsets = [entry.offset for entry in log]
        if offsets != list(range(1, len(log) + 1)):
            yield f"the log of run {run_id} has the offsets {offsets}"


def _clients_saw_everything_once_in_order(outcome: Outcome, one: Evidence) -> Iterator[str]:
    for seen in one.conversation.seen:
        if seen.run_id in one.late and seen.frames != one.late[seen.run_id]:
            what = f"{len(seen.frames)} of {len(one.late[seen.run_id])} frames after {seen.cuts} cuts"
            yield f"run {seen.run_id}: {what}, not the same"


def _no_token_twice(outcome: Outcome, one: Evidence) -> Iterator[str]:
    """The text that streamed under a message's id is the message. What streamed under an id that is in no history was cut
    off, and a new attempt's mark tells so."""
    finished = {message["id"]: message for message in one.messages if message["type"] == "ai"}
    for seen in one.conversation.seen:
        streamed, begun_in, attempts = _streamed(seen.frames)
        for message_id, text in streamed.items():
            if message_id in finished:
                if text != finished[message_id]["content"]:
                    yield f"message {message_id} streamed as {text[:60]!r}… ({len(text.split())} tokens)"
            elif begun_in[message_id] == attempts:
                yield f"message {message_id} streamed and is in no history, and no new attempt was marked"


def _streamed(frames: Sequence[Frame]) -> tuple[Mapping[str, str], Mapping[str, int], int]:
    """The text of each AI message, the attempt in which it began, and the last attempt."""
    text: dict[str, str] = {}
    begun_in: dict[str, int] = {}
    attempt = 0
    for frame in frames:
        if frame.event == "metadata":
            attempt = int(json.loads(frame.data)["attempt"])
        elif frame.event == "messages":
            chunk = json.loads(frame.data)[0]
            if chunk["type"] in ("AIMessageChunk", "ai"):
                text[chunk["id"]] = text.get(chunk["id"], "") + chunk["content"]
                begun_in.setdefault(chunk["id"], attempt)
    return text, begun_in, attempt


def _once_tools_ran_once(outcome: Outcome, one: Evidence) -> Iterator[str]:
    word = one.conversation.word
    calls = [entry.facts["call_id"] for entry in outcome.journal.of("book") if entry.facts["word"] == word]
    if len(calls) > 1:
        yield f"booked {len(calls)} times, under {len(set(calls))} ids, after decisions {one.conversation.decisions}"
    if any(count > 1 for count in Counter(calls).values()):
        yield f"one call's tool ran twice: {calls}"
    said = [m for m in one.messages if m["type"] == "tool" and m["content"] == f"booked {word}"]
    if len(said) > len(calls):
        yield "the history says booked, and nothing was"


def _history_is_whole(outcome: Outcome, one: Evidence) -> Iterator[str]:
    """Question, two tool calls, their results, answer."""
    shapes = [_shape(message, one.conversation.word, outcome.options.tokens) for message in one.messages]
    turn = ["human", "calls", "book", "look", "answer"]
    if shapes != turn:
        yield f"the history is {shapes}"


def _shape(message: Mapping[str, Any], word: str, tokens: int) -> str:
    content = message["content"]
    match message["type"]:
        case "human":
            return "human" if content == word else f"human {content[:40]!r}"
        case "tool":
            return str(message["name"])
        case "ai" if message["tool_calls"]:
            whole = content == _text(word, _PREFACE_TOKENS) and len(message["tool_calls"]) == 2
            return "calls" if whole else f"calls {content[:40]!r}"
        case _:
            return "answer" if content == _text(word, tokens) else f"answer {content[:40]!r}…"


def _text(word: str, tokens: int) -> str:
    return "".join(f"{word}-{number} " for number in range(tokens))


_CHECKS: dict[str, Callable[[Outcome, Evidence], Iterator[str]]] = {
    "every run ends, exactly once": _every_run_ends,
    "no acknowledged run is lost, none made twice": _no_run_is_lost,
    "every log is gapless": _logs_are_gapless,
    "every client saw every event exactly once, in order": _clients_saw_everything_once_in_order,
    "no token of a finished message came twice": _no_token_twice,
    "no `once` tool ran twice": _once_tools_ran_once,
    "no message is missing from a history": _history_is_whole,
}
