"""GBNF, the grammar notation of llama.cpp: what the model may write.

Text inside a JSON string is JSON-escaped first, then quoted for GBNF.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from os.path import commonprefix

from pilothouse.models.embedded.vocabulary import Token

FREE_STRING = r'"\"" ( [^"\\\x00-\x1F] | "\\" ["\\bfnrt/] )* "\""'
NUMBER = r'"-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,10})?'
INTEGER = r'"-"? ("0" | [1-9] [0-9]{0,14})'
_MOST_WORDS = 40


def literal(text: str) -> str:
    """Exactly this text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def inside_string(text: str) -> str:
    """Exactly this text, within a JSON string."""
    return literal(json.dumps(text, ensure_ascii=False)[1:-1])


class Grammar:
    """Collects rules. Each method returns an expression to be used in others; `text` closes with the root."""

    def __init__(self) -> None:
        self._rules: list[str] = []

    def rule(self, expression: str) -> str:
        name = f"r{len(self._rules)}"
        self._rules.append(f"{name} ::= {expression}")
        return name

    def text(self, root: str) -> str:
        """The whole grammar."""
        return "\n".join([f"root ::= {root}", *self._rules]) + "\n"

    def object(self, fields: Mapping[str, str], required: Iterable[str]) -> str:
        """A JSON object with these fields in this order; those that are not required may be left out."""
        must = set(required)
        first = rest = '"}"'
        for name, value in reversed(list(fields.items())):
            pair = f"{literal(json.dumps(name, ensure_ascii=False) + ': ')} {value} {rest}"
            first = self.rule(pair + ("" if name in must else f" | {first}"))
            rest = self.rule(f'", " {pair}' + ("" if name in must else f" | {rest}"))
        return f'"{{" {first}'

    def array(self, item: str, least: int = 0, most: int | None = None) -> str:
        """A JSON array."""
        more = f'(", " {item}){{{max(least - 1, 0)},{"" if most is None else max(most - 1, 0)}}}'
        return self.rule(f'"[" {item} {more} "]"' + (' | "[]"' if least == 0 else ""))

    def one_of(self, values: Iterable[str]) -> str:
        """One of these texts."""
        return self.rule(" | ".join(literal(value) for value in values))

    def one_string_of(self, values: Iterable[str]) -> str:
        """A JSON string: one of these."""
        return self.one_of(json.dumps(value, ensure_ascii=False) for value in values)

    def stretch(self, tokens: Sequence[Token], edge: Callable[[Token], bool]) -> str | None:
        """A stretch of a text that begins and ends with tokens that may be an edge, within a JSON string; None if there
        is none.

        One rule a token: it goes on to the next or, at an edge, stops.
        """
        starts: list[str] = []
        onward = ""
        for token in reversed(tokens):
            step = inside_string(token.text)
            if onward:
                gap = f"{inside_string(token.after)} " if token.after else ""
                step += f" ({gap}{onward})" + ("?" if edge(token) else "")
            elif not edge(token):
                continue
            onward = self.rule(step)
            if edge(token):
                starts.append(onward)
        return self.rule(" | ".join(starts)) if starts else None

    def mixture(self, words: Iterable[str], signs: Iterable[str], *, including: Iterable[str] = ()) -> str:
        """Words in any order, with signs between them so that two never run together, within a JSON string; at least one
        of `including`, if there are any."""
        word = self._trie(sorted(set(words)))
        between = self.rule(" | ".join(inside_string(sign) for sign in sorted({*signs, " "})))
        more = f"({between}{{1,4}} {word}){{0,{_MOST_WORDS}}}"
        if must := sorted(set(including)):
            one = self._trie(must)
            return self.rule(
                f"{between}{{0,3}} ({word} {between}{{1,4}}){{0,{_MOST_WORDS}}} {one} {more} {between}{{0,3}}"
            )
        return self.rule(f"{between}{{0,3}} {word} {more} {between}{{0,3}}")

    def _trie(self, words: Sequence[str]) -> str:
        """One of many words. Shared beginnings are shared in the grammar: it is checked faster."""
        branches: list[str] = []
        while words:
            group = [word for word in words if word[:1] == words[0][:1]]
            words = words[len(group) :]
            stem = commonprefix(group)  # noqa: RUF071 - of words, not paths
            ends = [word[len(stem) :] for word in group if word != stem]
            tail = f" {self._trie(ends)}" if ends else ""
            optional = "?" if ends and stem in group else ""
            branches.append(f"{inside_string(stem)}{tail}{optional}")
        return self.rule(" | ".join(branches))
