"""What to do with a conversation: call a tool, say something that is known already, or let the model talk."""

import json
import re
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import msgspec

from pilothouse.models.embedded.filling import Source, fill
from pilothouse.models.embedded.followups import Earlier, earlier_turn, rewrite
from pilothouse.models.embedded.hints import learn
from pilothouse.models.embedded.llama import Llama
from pilothouse.models.embedded.opinions import second_opinion
from pilothouse.models.embedded.routing import CHAT, IDENTITY, Route, Router
from pilothouse.models.embedded.sentences import SentenceEncoder
from pilothouse.models.embedded.wire import ChatRequest, Function, Message, Usage

_ROUTERS_KEPT = 32
_NOT_BY_ITSELF = 0.5
"""Below this, a choice that was doubted needs the model's consent."""
_LONGEST_VERBATIM_CHARACTERS = 1500


class CallTool(msgspec.Struct, frozen=True):
    """Call this tool; `arguments` is a JSON object."""

    name: str
    arguments: str
    usage: Usage


class Say(msgspec.Struct, frozen=True):
    """Say this, as it is."""

    text: str


class Talk(msgspec.Struct, frozen=True):
    """Let the model answer, in words that a grammar may limit."""

    messages: tuple[Message, ...]
    grammar: str | None = None


Turn: TypeAlias = CallTool | Say | Talk


class Turns:
    """Decides turns. Routers are trained once a set of tools and kept."""

    def __init__(self, llama: Llama, encoder: SentenceEncoder, label: str) -> None:
        self._llama = llama
        self._encoder = encoder
        self._label = label
        self._routers: dict[bytes, Router] = {}

    async def next(self, request: ChatRequest) -> Turn:
        """What the conversation needs now."""
        last = request.messages[-1]
        if last.role == "tool":
            return _report(request.messages)
        if last.role != "user":
            return Talk(request.messages)
        if request.forced is not None:
            return await self._forced(request, request.forced)
        if request.options.get("response_format"):
            return Talk(request.messages)
        return await self._routed(request)

    async def _forced(self, request: ChatRequest, name: str) -> Turn:
        """A call, whatever the message says: the named tool, or the likeliest."""
        message = request.messages[-1].content
        names = [name] if name else self._router(request.tools).tools_by_likelihood(message)
        by_name = {tool.name: tool for tool in request.tools}
        for candidate in names:
            if call := await self._call(by_name[candidate], Source(message)):
                return call
        return CallTool(names[0], "{}", Usage())

    async def _routed(self, request: ChatRequest) -> Turn:
        message = request.messages[-1].content
        tools = {tool.name: tool for tool in offered(request.tools)}
        earlier = earlier_turn(request.messages)
        router = self._router(tuple(tools.values()))
        if earlier and earlier.tool in tools and router.goes_on(message):
            call = await self._followed(tools[earlier.tool], earlier, message)
            if call:
                return call
        for route in await self._routes(router, tuple(tools.values()), message):
            if route.target == IDENTITY:
                return Say(self._introduction(request.tools))
            if route.target in tools and (call := await self._call(tools[route.target], Source(message))):
                return call
            if route.target == CHAT:
                break
        return Talk(request.messages)

    async def _routes(self, router: Router, tools: Sequence[Function], message: str) -> Sequence[Route]:
        """The router's choice; where it knows the tool too little, what the model and it agree on."""
        routes = router.routes(message)
        doubted = router.doubted(message)
        if doubted is None:
            return routes
        opinion = await second_opinion(self._llama, tools, message)
        if opinion == doubted.target:
            return [doubted, *routes]
        if opinion is None and routes[0].confidence < _NOT_BY_ITSELF:
            return routes[-1:]
        return routes

    async def _followed(self, tool: Function, earlier: Earlier, message: str) -> CallTool | None:
        """The tool again, with the arguments before where the message gives no others. Where the one argument is a
        request in itself, that is rewritten."""
        hints = learn(tool).hints
        value = next(iter(earlier.asked.arguments.values()), None)
        if len(hints) != 1 or not isinstance(value, str) or next(iter(hints.values())).origin == "span":
            return await self._call(tool, Source(message, earlier=earlier.asked))
        changed = await rewrite(self._llama, value, earlier.result, message)
        arguments = dict.fromkeys(hints, changed.request)
        return CallTool(tool.name, json.dumps(arguments, ensure_ascii=False), changed.usage)

    async def _call(self, tool: Function, source: Source) -> CallTool | None:
        filled = await fill(self._llama, self._encoder.likeness, tool, source)
        if filled is None:
            return None
        return CallTool(tool.name, json.dumps(filled.arguments, ensure_ascii=False), filled.usage)

    def _router(self, tools: Sequence[Function]) -> Router:
        key = msgspec.json.encode(tools)
        router = self._routers.pop(key, None) or Router(self._encoder, tools)
        self._routers[key] = router
        if len(self._routers) > _ROUTERS_KEPT:
            del self._routers[next(iter(self._routers))]
        return router

    def _introduction(self, tools: Sequence[Function]) -> str:
        opening = (
            f"I am {self._label}, a small language model that runs on this machine. I can chat a little, but I know few facts "
            "for sure."
        )
        if not tools:
            return opening
        abilities = [f"- `{tool.name}`: {_first_sentence(tool.description)}" for tool in tools]
        return f"{opening} What I do reliably is use my tools:\n\n" + "\n".join(abilities)


def offered(tools: Sequence[Function]) -> tuple[Function, ...]:
    """The tools that the model may choose by itself: those that come with examples. Others are called only when
    `tool_choice` asks for them."""
    return tuple(tool for tool in tools if tool.examples)


def withheld(tools: Sequence[Function]) -> list[str]:
    """The names of the tools that are not offered."""
    return [tool.name for tool in tools if not tool.examples]


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?])\s", text.strip(), maxsplit=1)[0]


def _report(messages: Sequence[Message]) -> Turn:
    """The answer to tools' results: the results themselves, word for word, where they are short enough to be one."""
    results: list[str] = []
    for message in reversed(messages):
        if message.role != "tool":
            break
        results.insert(0, _readable(message.content))
    text = "\n\n".join(results)
    if len(text) <= _LONGEST_VERBATIM_CHARACTERS:
        return Say(text)
    return Talk(tuple(messages), grammar=_grounded(messages))


def _readable(result: str) -> str:
    """A JSON object as lines, anything else as it is."""
    try:
        value: Any = json.loads(result)
    except ValueError:
        return result
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return "\n".join(f"{name}: {_shown(item)}" for name, item in fields.items())
    return _shown(value)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _grounded(messages: Sequence[Message]) -> str:
    """Prose whose every number stands in the conversation's last question and results."""
    recent: list[str] = []
    for message in reversed(messages):
        recent.append(message.content)
        if message.role == "user":
            break
    known = sorted(set(re.findall(r"\d+", " ".join(recent))))[:200]
    number = " | ".join(f'"{digits}"' for digits in known) or '""'
    return f"root ::= text (number text)*\ntext ::= [^0-9]+\nnumber ::= {number}\n"
