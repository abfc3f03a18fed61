"""Messages that only make sense after the request before them: "and in Tokyo?", "now times 4"."""

import json
import re
from collections.abc import Sequence

import msgspec

from pilothouse.models.embedded.grammar import Grammar
from pilothouse.models.embedded.llama import Llama
from pilothouse.models.embedded.vocabulary import FUNCTION_WORDS, REFERENCES, numbers, unique, words
from pilothouse.models.embedded.wire import Example, Message, Usage

_MOST_TOKENS = 80
_LONGEST_WORDS = 60
_LEADS = frozenset(
    {"now", "and", "then", "also", "about", "how", "what", "instead", "too", "same", "ok", "so", "make"}
)
"""Words that only say that the message goes on."""
_REPLACES = re.compile(r"\s*(and|what about|how about|with|for|in|try|make it|same)\b", re.IGNORECASE)
"""A message that begins so changes the request; the result is not wanted."""
_INSTRUCTION = "The user changes an earlier request, or goes on from its result. Write the new request."
_DEMONSTRATIONS = (
    ("12 * 7", "12 * 7 = 84", "times 3", "84 times 3"),
    ("20% of 60", "20% of 60 = 12", "what about 25%?", "25% of 60"),
    ("45 + 30", "45 + 30 = 75", "now minus 20", "75 minus 20"),
    ("10 km in miles", "10 km = 6.2137 miles", "and 15 km?", "15 km in miles"),
    ("8% of 350", "8% of 350 = 28", "and 12%", "12% of 350"),
    ("3 hours in minutes", "3 hours = 180 minutes", "and in seconds?", "3 hours in seconds"),
    ("3 + 4 + 5", "3 + 4 + 5 = 12", "divide that by 4", "divide 12 by 4"),
    ("call Ana tomorrow", "Noted.", "make it Friday", "call Ana Friday"),
    ("square root of 50", "square root of 50 = 7.071", "and of 60", "square root of 60"),
    ("half of 90", "half of 90 = 45", "add 10 to it", "add 10 to 45"),
    ("hotel in Rome for 2 people", "Hotel Roma", "what about 3 people?", "hotel in Rome for 3 people"),
    ("120 / 8", "120 / 8 = 15", "with 6 instead", "120 / 6"),
    ("pasta recipes", "Found 3.", "without garlic", "pasta recipes without garlic"),
)


class Earlier(msgspec.Struct, frozen=True):
    """The turn before: what was asked, the tool that was called, and what it returned."""

    tool: str
    asked: Example
    result: str


class Rewritten(msgspec.Struct, frozen=True):
    """The request as it is now."""

    request: str
    usage: Usage


def earlier_turn(messages: Sequence[Message]) -> Earlier | None:
    """The turn before the last message, if it called a tool."""
    questions = [position for position, message in enumerate(messages) if message.role == "user"]
    if len(questions) < 2:
        return None
    return called_turn(messages[questions[-2] : questions[-1]])


def called_turn(turn: Sequence[Message]) -> Earlier | None:
    """What a turn, which begins with the user's message, asked of a tool, and got: the last call."""
    calls = [call.function for message in turn for call in message.tool_calls]
    results = [message.content for message in turn if message.role == "tool"]
    if not calls or not results:
        return None
    try:
        arguments = json.loads(calls[-1].arguments)
    except ValueError:
        return None
    return Earlier(calls[-1].name, Example(turn[0].content, arguments), results[-1])


async def rewrite(llama: Llama, request: str, result: str, message: str) -> Rewritten:
    """The request as the message changes it: put together from its words, the message's, and the result's numbers."""
    carried = [] if _REPLACES.match(message) else numbers(result)
    spoken = [word for word in words(message) if word.lower() not in _LEADS]
    if carried:
        spoken = [word for word in spoken if word.lower() not in REFERENCES]
    before = {word.lower() for word in words(request)}
    new = [word for word in spoken if word.lower() not in FUNCTION_WORDS | REFERENCES | before]
    known = [*words(request), *carried, *spoken][:_LONGEST_WORDS]
    signs = {*re.findall(r"[-+*/^().,%']", request + message), " "}
    grammar = Grammar()
    done = await llama.complete(
        _prefix(),
        _turn(request, result, message),
        grammar=grammar.text(grammar.mixture(unique(known), signs, including=unique(new))),
        max_tokens=_MOST_TOKENS,
    )
    text = json.loads(f'"{done.text.strip()}"')
    return Rewritten(text, Usage(done.prompt_tokens, done.completion_tokens))


def _prefix() -> str:
    turns = [_turn(*shown[:3]) + shown[3] + "<|im_end|>\n" for shown in _DEMONSTRATIONS]
    return f"<|im_start|>system\n{_INSTRUCTION}<|im_end|>\n" + "".join(turns)


def _turn(request: str, result: str, message: str) -> str:
    text = f"Request: {request}\nResult: {result}\nNow: {message}".replace("<|", "< |")
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
