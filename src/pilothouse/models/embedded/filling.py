"""Fill in a tool's arguments from a message: the tool's examples are the prompt, its schema and hints the grammar.

Arguments are written one at a time. So the model writes values only, never the form around them; what one argument
took from the message is gone for the next; and an optional one is left out where nothing could be it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pilothouse.models.embedded.grammar import Grammar, literal
from pilothouse.models.embedded.hints import learn
from pilothouse.models.embedded.llama import Llama, LlamaFailed
from pilothouse.models.embedded.schemas import Likeness, Material, ValueGrammar
from pilothouse.models.embedded.templates import arranged
from pilothouse.models.embedded.vocabulary import Token, tokens, words
from pilothouse.models.embedded.wire import Example, Function, Usage

_VALUE_TOKENS = 400
_LONGEST_MESSAGE_WORDS = 400
"""Of a longer message, only the last words are taken apart."""


class Source(msgspec.Struct, frozen=True):
    """What arguments are made of."""

    message: str
    earlier: Example | None = None
    """In a follow-up, the request and the arguments before: what the message does not change is carried over."""


class Filled(msgspec.Struct, frozen=True):
    """A tool's arguments, and what it cost to find them."""

    arguments: Mapping[str, Any]
    usage: Usage


def prefix(tool: Function) -> str:
    """The part of the prompt that is the same for every message."""
    lines = [f"Write the arguments of the function {tool.name} for the user's request, as JSON."]
    if tool.description:
        lines.append(f"{tool.name}: {tool.description.strip()}")
    for name, schema in _properties(tool).items():
        if schema.get("description"):
            lines.append(f"- {name}: {schema['description']}")
    turns = ["<|im_start|>system\n" + "\n".join(lines) + "<|im_end|>\n"]
    return "".join(turns + [_shown(tool, example) for example in tool.examples])


async def fill(llama: Llama, likeness: Likeness, tool: Function, source: Source) -> Filled | None:
    """The arguments; None where the message has nothing that could be one of the required ones."""
    return await _Filling(llama, likeness, tool, source).run()


def _properties(tool: Function) -> Mapping[str, Mapping[str, Any]]:
    """In the order in which arguments are written: the required ones first."""
    properties: Mapping[str, Mapping[str, Any]] = tool.parameters.get("properties", {})
    required = tool.parameters.get("required", ())
    return {name: properties[name] for name in sorted(properties, key=lambda name: name not in required)}


def _shown(tool: Function, example: Example) -> str:
    ordered = {name: example.arguments[name] for name in _properties(tool) if name in example.arguments}
    return _asked(example.request) + json.dumps(ordered, ensure_ascii=False) + "<|im_end|>\n"


def _asked(message: str) -> str:
    message = message.replace("<|", "< |")  # a message can't end its own turn
    return f"<|im_start|>user\n{message}<|im_end|>\n<|im_start|>assistant\n"


class _Filling:
    """The arguments of one call, as they come about."""

    def __init__(self, llama: Llama, likeness: Likeness, tool: Function, source: Source) -> None:
        self._llama = llama
        self._likeness = likeness
        self._tool = tool
        self._source = source
        self._lessons = learn(tool)
        self._schemas = _properties(tool)
        self._earlier: Mapping[str, Any] = source.earlier.arguments if source.earlier else {}
        required = {*tool.parameters.get("required", ()), *self._earlier}
        self._required = [name for name in self._schemas if name in required]
        self._optional = [name for name in self._schemas if name not in required]
        self._pieces = [tokens(source.message)[-_LONGEST_MESSAGE_WORDS:]]
        self._text = "".join(token.text + token.after for token in self._pieces[0])
        self._prompt = _shown(tool, source.earlier) if source.earlier else ""
        self._prompt += _asked(source.message)
        self._written = "{"
        self._arguments: dict[str, Any] = {}
        self._usage = Usage()

    async def run(self) -> Filled | None:
        for position, name in enumerate(self._required):
            last = position == len(self._required) - 1
            if not await self._write_required(name, last=last):
                return None
        while self._optional and not self._written.endswith("}"):
            await self._write_optional()
        source = self._source
        if source.earlier:
            return Filled(self._arguments, self._usage)
        found = arranged(source.message, self._arguments, self._tool, self._lessons)
        return Filled(found, self._usage)

    async def _write_required(self, name: str, *, last: bool) -> bool:
        grammar = Grammar()
        value = self._value(grammar, name, last=last)
        if value is None:
            return False
        ends = ["}"] if last else [","]
        if last and self._open_options(Grammar()):
            ends.append(",")
        lead = ("" if self._written == "{" else " ") + json.dumps(name) + ":"
        text = await self._complete(lead, grammar.text(f'" " {value} {grammar.one_of(ends)}'))
        self._keep(name, json.loads(text[:-1]))
        return True

    async def _write_optional(self) -> None:
        """One more of the optional arguments, or none."""
        grammar = Grammar()
        options = self._open_options(grammar)
        if not options:
            self._written += "}"
            return
        first = self._written == "{"
        choices = [literal("{}")] if first else []
        choices += [f"{literal('{' if first else ' ')} {option}" for option in options.values()]
        self._written = "" if first else self._written
        text = await self._complete("", grammar.text(" | ".join(choices)))
        for name, value in json.loads("{" + text[1:-1] + "}").items():
            del self._optional[: self._optional.index(name) + 1]
            self._keep(name, value)

    def _open_options(self, grammar: Grammar) -> dict[str, str]:
        """For each optional argument that the message could offer a value for: how it is written, and what follows."""
        values = {name: self._value(grammar, name, last=False) for name in self._optional}
        possible = {name: value for name, value in values.items() if value is not None}
        return {
            name: f"{literal(json.dumps(name) + ': ')} {value} "
            + grammar.one_of(["}"] if name == list(possible)[-1] else ["}", ","])
            for name, value in possible.items()
        }

    def _value(self, grammar: Grammar, name: str, *, last: bool) -> str | None:
        """The grammar of an argument's value: a new one, or the one before in a follow-up."""
        text = " ".join([self._text, *(str(value) for value in self._earlier.values())])
        material = Material(text, self._pieces, self._likeness)
        definitions = self._tool.parameters.get("$defs", {})
        value = ValueGrammar(definitions, self._lessons, material, grammar).value(
            name, self._schemas[name], optional=name in self._optional
        )
        if name not in self._earlier:
            return value
        carried = literal(json.dumps(self._earlier[name], ensure_ascii=False))
        if value is None:
            return carried
        must_change = last and all(
            self._arguments[other] == self._earlier[other] for other in self._arguments
        )
        return value if must_change else grammar.rule(f"{carried} | {value}")

    async def _complete(self, lead: str, grammar: str) -> str:
        self._written += lead
        done = await self._llama.complete(
            prefix(self._tool), self._prompt + self._written, grammar=grammar, max_tokens=_VALUE_TOKENS
        )
        if done.truncated:
            raise LlamaFailed(f"an argument of {self._tool.name} became too long")
        self._written += done.text
        self._usage += Usage(done.prompt_tokens, done.completion_tokens)
        return done.text

    def _keep(self, name: str, value: Any) -> None:
        self._arguments[name] = value
        if self._lessons.hints[name].origin == "span" and not self._lessons.overlapping:
            self._pieces = _without(self._pieces, value)


def _without(pieces: Sequence[Sequence[Token]], value: Any) -> list[list[Token]]:
    """The pieces, cut where the value stands."""
    taken = [word.lower() for word in words(str(value))]
    left: list[list[Token]] = []
    for index, piece in enumerate(pieces):
        spoken = [position for position, token in enumerate(piece) if token.is_word]
        heard = [piece[position].text.lower() for position in spoken]
        for start in range(len(heard) - len(taken) + 1):
            if taken and heard[start : start + len(taken)] == taken:
                first, final = spoken[start], spoken[start + len(taken) - 1]
                rest = [list(piece[:first]), list(piece[final + 1 :]), *map(list, pieces[index + 1 :])]
                return left + rest
        left.append(list(piece))
    return left
