"""Fill in a tool's arguments from a message: the tool's examples are the prompt, its schema and hints the grammar."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pilothouse.models.embedded.grammar import FREE_STRING, INTEGER, NUMBER, Grammar, literal
from pilothouse.models.embedded.hints import Hint, hints
from pilothouse.models.embedded.vocabulary import numbers, spans, tokens, unique, words
from pilothouse.models.embedded.wire import Function

ARGUMENT_TOKENS = 256
_LONGEST_MESSAGE_WORDS = 300
"""A longer message is not taken apart: the model then writes freely."""
_EVERYTHING = Hint("free")


class Source(msgspec.Struct, frozen=True):
    """What arguments may be made of."""

    message: str
    earlier: Mapping[str, Any] = {}
    """The arguments of the call before, in a follow-up: what the message does not change is carried over."""
    result: str = ""
    """What that call returned."""


def prefix(tool: Function) -> str:
    """The part of the prompt that is the same for every message."""
    lines = [f"Write the arguments of the function {tool.name} for the user's request, as JSON."]
    if tool.description:
        lines.append(f"{tool.name}: {tool.description.strip()}")
    for name, schema in tool.parameters.get("properties", {}).items():
        if schema.get("description"):
            lines.append(f"- {name}: {schema['description']}")
    turns = ["<|im_start|>system\n" + "\n".join(lines) + "<|im_end|>\n"]
    turns += [
        ask(e.request) + json.dumps(e.arguments, ensure_ascii=False) + "<|im_end|>\n" for e in tool.examples
    ]
    return "".join(turns)


def ask(message: str) -> str:
    """A request that the model is to answer with arguments."""
    message = message.replace("<|", "< |")  # a message can't end its own turn
    return f"<|im_start|>user\n{message}<|im_end|>\n<|im_start|>assistant\n"


def grammar(tool: Function, source: Source) -> str:
    """The arguments that the tool's schema admits and that can be made of the source."""
    return _Schema(tool, source).grammar()


class _Schema:
    """Turns a JSON Schema into a grammar, for one message."""

    def __init__(self, tool: Function, source: Source) -> None:
        self._schema = tool.parameters
        self._definitions: Mapping[str, Any] = self._schema.get("$defs", self._schema.get("definitions", {}))
        self._source = source
        self._tokens = tokens(source.message)
        self._long = len(self._tokens) > _LONGEST_MESSAGE_WORDS
        self._hints = hints(tool)
        self._grammar = Grammar()

    def grammar(self) -> str:
        fields: dict[str, str] = {}
        properties: Mapping[str, Any] = self._schema.get("properties", {})
        for name, schema in properties.items():
            value = self._value(schema, self._hints[name])
            if name in self._source.earlier and len(properties) > 1:
                carried = literal(json.dumps(self._source.earlier[name], ensure_ascii=False))
                value = self._grammar.rule(f"{carried} | {value}")
            fields[name] = value
        return self._grammar.text(self._grammar.object(fields, self._schema.get("required", ())))

    def _value(self, schema: Mapping[str, Any], hint: Hint) -> str:
        schema = self._resolved(schema)
        if "const" in schema or "enum" in schema:
            values = schema.get("enum") or [schema["const"]]
            return self._grammar.one_of(json.dumps(value, ensure_ascii=False) for value in values)
        for choice in ("anyOf", "oneOf"):
            if options := [option for option in schema.get(choice, ()) if option.get("type") != "null"]:
                return self._grammar.rule(" | ".join(self._value(option, hint) for option in options))
        match schema.get("type"):
            case "integer" | "number" as kind:
                return self._number(kind, hint)
            case "boolean":
                return self._grammar.one_of(["true", "false"])
            case "array":
                item = self._value(schema.get("items", {}), hint)
                return self._grammar.array(item, schema.get("minItems", 0), schema.get("maxItems"))
            case "object":
                return self._object(schema, hint)
            case _:
                return self._string(schema, hint)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follows `$ref`, and takes the one real type of `["string", "null"]`."""
        if "$ref" in schema:
            schema = self._definitions.get(str(schema["$ref"]).rsplit("/", 1)[-1], {})
        if isinstance(schema.get("type"), list):
            schema = {**schema, "type": next((kind for kind in schema["type"] if kind != "null"), "string")}
        return schema

    def _object(self, schema: Mapping[str, Any], hint: Hint) -> str:
        fields = {name: self._value(inner, hint) for name, inner in schema.get("properties", {}).items()}
        return self._grammar.rule(self._grammar.object(fields, schema.get("required", fields)))

    def _number(self, kind: str, hint: Hint) -> str:
        if hint.origin == "free" or self._long:
            return INTEGER if kind == "integer" else NUMBER
        known = self._numbers(hint.constants)
        if kind == "integer":
            known = [number for number in known if "." not in number]
        return self._grammar.one_of(known) if known else "[0-9]"

    def _string(self, schema: Mapping[str, Any], hint: Hint) -> str:
        if hint.origin == "free" or self._long or not words(self._source.message):
            return FREE_STRING
        if hint.origin == "span":
            return self._span(schema, hint)
        if hint.origin == "mixture":
            return self._mixture(hint)
        known = [literal(number) for number in self._numbers()]
        number = self._grammar.rule(" | ".join(known) if known else '""')
        letter = r'[^0-9"\\\x00-\x1F]'
        return self._grammar.rule(rf'"\"" {letter}+ ({number} {letter}+)* "\""')

    def _span(self, schema: Mapping[str, Any], hint: Hint) -> str:
        constants = list(hint.constants)
        if pattern := schema.get("pattern"):
            fitting = [
                span for span in spans(self._source.message) if re.search(pattern, span, re.IGNORECASE)
            ]
            if fitting or constants:
                return self._grammar.one_string_of(unique(fitting + constants))
        stretch = rf'"\"" {self._grammar.stretch(self._tokens)} "\""'
        if not constants:
            return self._grammar.rule(stretch)
        return self._grammar.rule(f"{self._grammar.one_string_of(constants)} | {stretch}")

    def _mixture(self, hint: Hint) -> str:
        earlier = " ".join(str(value) for value in self._source.earlier.values())
        known = [
            *words(self._source.message),
            *words(earlier),
            *self._numbers(hint.constants),
            *hint.constants,
        ]
        signs = [*hint.signs, *re.findall(r"[^\w\s\"\\?!]", self._source.message)]
        return self._grammar.rule(rf'"\"" {self._grammar.mixture(unique(known), unique(signs))} "\""')

    def _numbers(self, constants: Sequence[str] = ()) -> list[str]:
        source = self._source
        said = numbers(f"{source.message} {source.result}")
        return unique([*said, *(constant for constant in constants if re.fullmatch(r"-?[\d.]+", constant))])
