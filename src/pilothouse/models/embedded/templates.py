"""Which of a message's stretches is which argument? Its wording tells: "what time in B is 7pm in A" reads like an example.

A message with its values replaced by their arguments' names is a template; the arrangement of values whose template is most
like one of the examples' is the likeliest.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping
from itertools import permutations
from typing import Any

from pilothouse.models.embedded.hints import Lessons
from pilothouse.models.embedded.wire import Function

_CLEARLY = 0.05
_MOST_SWAPPED = 4


def arranged(
    message: str, arguments: Mapping[str, Any], tool: Function, lessons: Lessons
) -> Mapping[str, Any]:
    """The same values, given to those arguments that the message's wording suggests."""
    choices = {
        name
        for name, schema in tool.parameters.get("properties", {}).items()
        if "enum" in schema or "pattern" in schema
    }
    names = [
        name for name in arguments if name not in choices and _is_movable(name, arguments, lessons, message)
    ]
    if not 1 < len(names) <= _MOST_SWAPPED:
        return arguments
    known = [_grams(_template(example.request, example.arguments)) for example in tool.examples]

    def likeness(candidate: Mapping[str, Any]) -> float:
        grams = _grams(_template(message, candidate))
        return max(_cosine(grams, other) for other in known)

    values = [arguments[name] for name in names]
    candidates = [{**arguments, **dict(zip(names, order, strict=True))} for order in permutations(values)]
    best = max(candidates, key=likeness)
    return best if likeness(best) > likeness(arguments) + _CLEARLY else arguments


def _is_movable(name: str, arguments: Mapping[str, Any], lessons: Lessons, message: str) -> bool:
    """Values of a kind may change places: short spans without digits that stand in the message."""
    hint = lessons.hints[name]
    value = arguments[name]
    if hint.origin != "span" or not hint.short or hint.digits == "mostly" or not isinstance(value, str):
        return False
    return value.lower() in message.lower()


def _template(request: str, arguments: Mapping[str, Any]) -> str:
    text = request.lower()
    for name, value in sorted(arguments.items(), key=lambda pair: -len(str(pair[1]))):
        text = re.sub(rf"(?<!\w){re.escape(str(value).lower())}(?!\w)", f" <{name}> ", text, count=1)
    return text


def _grams(template: str) -> Counter[str]:
    words = ["^", *re.findall(r"<\w+>|\w+", template), "$"]
    return Counter(
        " ".join(words[start : start + size]) for size in (1, 2, 3) for start in range(len(words) - size + 1)
    )


def _cosine(one: Counter[str], other: Counter[str]) -> float:
    shared = sum(one[gram] * other[gram] for gram in one.keys() & other.keys())
    return shared / math.sqrt(sum(n * n for n in one.values()) * sum(n * n for n in other.values()))
