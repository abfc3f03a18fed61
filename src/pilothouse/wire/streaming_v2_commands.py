"""What clients ask of a thread's event stream (version 2): commands, and filters of events."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta

from pilothouse.errors import InvalidRequest
from pilothouse.events import AgentId, Interrupt, Json, ThreadId
from pilothouse.ports.runs import MultitaskStrategy, NewRun, RunInput
from pilothouse.wire.decoding import OptionalJson, decode_body, json_object, json_value
from pilothouse.wire.interrupts import is_breakpoint, questions
from pilothouse.wire.streaming_v2 import STREAM_MODES, Event

T = TypeVar("T")

CHANNELS = (
    "values",
    "updates",
    "messages",
    "tools",
    "lifecycle",
    "input",
    "checkpoints",
    "tasks",
    "custom",
)
ErrorCode = Literal[
    "invalid_argument",
    "unknown_command",
    "unknown_error",
    "no_such_run",
    "no_such_subscription",
    "no_such_interrupt",
    "not_supported",
]
NOT_SUPPORTED: Mapping[str, str] = {
    "input.inject": "Input can't be put into a run that is under way: start another run, it waits for its turn.",
    "state.get": "Read the state with GET /threads/{thread_id}/state.",
    "state.listCheckpoints": "Read past states with POST /threads/{thread_id}/history.",
    "state.fork": "Use run.start with config.configurable.checkpoint_id.",
}
"""Commands of the protocol that this server has not, and what to do instead."""

Seq = Annotated[int, Meta(ge=0)]


class EventFilter(msgspec.Struct, frozen=True):
    """Which events a client wants, and after which one.

    `since=0` means all that the thread's logs hold. Without `since` it is what is under way (see `server.following`).
    `namespaces` are prefixes; a segment without a task id (`name` for `name:id`) stands for all tasks of that name.
    `depth` says how far below a prefix.
    """

    channels: Annotated[Sequence[str], Meta(min_length=1)]
    namespaces: Sequence[Sequence[str]] | None = None
    depth: Seq | None = None
    since: Seq | None = None

    def check(self) -> None:
        """Raises `InvalidRequest` for a channel that does not exist."""
        for channel in self.channels:
            if channel not in CHANNELS and not re.fullmatch("custom:.+", channel):
                known = ", ".join(CHANNELS)
                raise InvalidRequest(
                    f"Unknown channel {channel[:100]!r}. Known ones: {known}, and custom:NAME."
                )

    def wants(self, event: Event) -> bool:
        return self._in_channels(event) and any(
            self._below(event.namespace, prefix) for prefix in self.namespaces or ((),)
        )

    def _in_channels(self, event: Event) -> bool:
        channel = event.method.removesuffix(".requested")
        if channel in self.channels:
            return True
        return channel == "custom" and f"custom:{event.data.get('name')}" in self.channels

    def _below(self, namespace: Sequence[str], prefix: Sequence[str]) -> bool:
        below = len(namespace) - len(prefix)
        if below < 0 or (self.depth is not None and below > self.depth):
            return False
        return all(
            part == wanted or part.partition(":")[0] == wanted
            for part, wanted in zip(namespace, prefix, strict=False)
        )


class Command(msgspec.Struct, frozen=True):
    """What a client sends: the reply carries the same id."""

    id: Seq
    method: str
    params: OptionalJson = UNSET

    def parameters(self, type_: type[T]) -> T:
        """Raises `InvalidRequest`."""
        return decode_body(b"{}" if self.params is UNSET else bytes(self.params), type_)


class RunStart(msgspec.Struct, frozen=True):
    """`run.start`. Unknown fields are ignored."""

    assistant_id: str
    input: OptionalJson = UNSET
    config: OptionalJson = UNSET
    metadata: OptionalJson = UNSET
    context: OptionalJson = UNSET
    multitask_strategy: MultitaskStrategy | None = None
    multitaskStrategy: MultitaskStrategy | None = None  # noqa: N815  the JavaScript SDK's spelling

    def new_run(self, agent_id: AgentId, thread_id: ThreadId, asked: Sequence[Interrupt]) -> NewRun:
        """The run that this starts. Where the thread waits for a human (`asked`) the input is the answer, unless the
        run is to begin at a checkpoint. Raises `InvalidRequest`."""
        config = json_object(self.config, "params.config")
        checkpoint = _checkpoint(config)
        given = json_value(self.input)
        asked = questions(asked)
        command: Json | None = None
        if asked and given is not None and checkpoint is None:
            given, command = None, _resume(_answers(asked, given))
        request = RunInput(
            input=given,
            command=command,
            config=config,
            context=json_object(self.context, "params.context"),
            checkpoint=checkpoint,
            stream_modes=STREAM_MODES,
            stream_subgraphs=True,
        )
        strategy = self.multitask_strategy or self.multitaskStrategy or "enqueue"
        resumes = command is not None
        return _new_run(agent_id, thread_id, request, self.metadata, strategy, resumes=resumes)


class Answer(msgspec.Struct, frozen=True):
    interrupt_id: str
    response: Json
    namespace: Sequence[str] = ()


class InputRespond(msgspec.Struct, frozen=True):
    """`input.respond`: one answer, or several in `responses`."""

    interrupt_id: str | None = None
    response: OptionalJson = UNSET
    responses: Sequence[Answer] = ()
    update: OptionalJson = UNSET
    goto: OptionalJson = UNSET
    config: OptionalJson = UNSET
    metadata: OptionalJson = UNSET

    def answers(self) -> dict[str, Json]:
        """By interrupt. Raises `InvalidRequest` if there is none."""
        answers = {answer.interrupt_id: answer.response for answer in self.responses}
        if self.interrupt_id is not None and self.response is not UNSET:
            answers[self.interrupt_id] = self.response
        if not answers:
            raise InvalidRequest("input.respond needs an interrupt_id and a response, or responses.")
        return answers

    def new_run(self, agent_id: AgentId, thread_id: ThreadId, asked: Sequence[Interrupt]) -> NewRun:
        """The run that goes on with the answers. Raises `InvalidRequest`."""
        stopped = {interrupt.id for interrupt in asked if is_breakpoint(interrupt)}
        answers = {id_: answer for id_, answer in self.answers().items() if id_ not in stopped}
        more = {"update": json_value(self.update), "goto": json_value(self.goto)}
        command = {name: value for name, value in more.items() if value is not None}
        if answers:
            command["resume"] = Json(msgspec.json.encode(answers))
        request = RunInput(
            command=Json(msgspec.json.encode(command)) if command else None,
            config=json_object(self.config, "params.config"),
            stream_modes=STREAM_MODES,
            stream_subgraphs=True,
        )
        return _new_run(agent_id, thread_id, request, self.metadata, "enqueue", resumes=True)


class TreeOf(msgspec.Struct, frozen=True):
    """`agent.getTree`: of this run, or of the one that began last."""

    run_id: str | None = None


class Unsubscribe(msgspec.Struct, frozen=True):
    subscription_id: str


class Reconnect(msgspec.Struct, frozen=True):
    """`subscription.reconnect`: a filter to subscribe with again, or subscriptions of this connection."""

    channels: Sequence[str] = ()
    namespaces: Sequence[Sequence[str]] | None = None
    depth: Seq | None = None
    since: Seq | None = None
    last_event_id: str | None = None
    subscription_id: str | None = None
    subscriptions: Sequence[str] = ()

    def filter(self) -> EventFilter | None:
        if not self.channels:
            return None
        since = resume_since(self.last_event_id) if self.since is None else self.since
        return EventFilter(self.channels, self.namespaces, self.depth, since)


def decode_command(body: bytes) -> Command:
    """Raises `InvalidRequest`."""
    return decode_body(body, Command)


def resume_since(last_event_id: str | None) -> int | None:
    """The `seq` in an event's id. Raises `InvalidRequest`."""
    if not last_event_id:
        return None
    seq = last_event_id.rpartition(":")[2]
    if not (seq.isascii() and seq.isdigit()):
        raise InvalidRequest(
            f"{last_event_id[:100]!r} is not an event's id: send the last one that you received."
        )
    return int(seq)


def success(command_id: int, result: Mapping[str, Any], applied_through_seq: int | None = None) -> bytes:
    reply: dict[str, Any] = {"type": "success", "id": command_id, "result": result}
    if applied_through_seq is not None:
        reply["meta"] = {"applied_through_seq": applied_through_seq}
    return msgspec.json.encode(reply)


def refusal(command_id: int | None, code: ErrorCode, message: str) -> bytes:
    return msgspec.json.encode({"type": "error", "id": command_id, "error": code, "message": message})


def _new_run(
    agent_id: AgentId,
    thread_id: ThreadId,
    request: RunInput,
    metadata: OptionalJson,
    strategy: MultitaskStrategy,
    *,
    resumes: bool,
) -> NewRun:
    return NewRun(
        thread_id=thread_id,
        agent_id=agent_id,
        request=request,
        metadata=json_object(metadata, "params.metadata") or Json(b"{}"),
        multitask_strategy=strategy,
        if_thread_missing="create",
        resumes=resumes,
    )


class _Configurable(msgspec.Struct, frozen=True):
    checkpoint_id: str | None = None


class _Config(msgspec.Struct, frozen=True):
    configurable: _Configurable = _Configurable()


def _checkpoint(config: Json | None) -> Json | None:
    """Where the caller's config says to begin."""
    checkpoint_id = decode_body(bytes(config), _Config).configurable.checkpoint_id if config else None
    return Json(msgspec.json.encode({"checkpoint_id": checkpoint_id})) if checkpoint_id else None


def _answers(asked: Sequence[Interrupt], given: Json) -> Json:
    """The input of a new run as the answer to what is asked: to the one interrupt, or an object with an answer by
    interrupt. Raises `InvalidRequest`."""
    known = {interrupt.id for interrupt in asked}
    if bytes(given).startswith(b"{"):
        answers = msgspec.json.decode(given, type=dict[str, Json])
        if answers and known.issuperset(answers):
            return given
    if len(known) > 1:
        raise InvalidRequest(f"The thread waits for {len(known)} answers: give them with input.respond.")
    return Json(msgspec.json.encode({known.pop(): given}))


def _resume(answers: Json) -> Json:
    return Json(msgspec.json.encode({"resume": answers}))
