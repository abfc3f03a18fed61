"""Messages that only make sense after the request before them: "and in Tokyo?", "now times 4"."""

import json
from collections.abc import Sequence

import msgspec

from pilothouse.models.embedded.grammar import Grammar
from pilothouse.models.embedded.llama import Llama
from pilothouse.models.embedded.vocabulary import FUNCTION_WORDS, REFERENCES, numbers, unique, words
from pilothouse.models.embedded.wire import Example, Message, Usage

_MOST_TOKENS = 80
_LONGEST_MESSAGE_WORDS = 60

_INSTRUCTION = "The user goes on from an earlier question and its answer. Write the new question so that it can be understood alone."
_DEMONSTRATIONS = (
    ("what is 12 times 7", "12 times 7 = 84", "and times 3?", "what is 84 times 3"),
    ("20% of 60", "20% of 60 = 12", "what about 25%?", "25% of 60"),
    ("what is 8% of 350", "8% of 350 = 28", "and 12%", "what is 12% of 350"),
    ("how much is 45 + 30", "45 + 30 = 75", "now minus 20", "75 minus 20"),
    ("10 km in miles", "10 km = 6.2137 miles", "and 15?", "15 km in miles"),
    ("convert 3 hours to minutes", "3 hours = 180 minutes", "and in seconds?", "convert 3 hours to seconds"),
    ("square root of 50", "square root of 50 = 7.071", "and of 60", "square root of 60"),
    ("what is 3 + 4 + 5", "3 + 4 + 5 = 12", "divide that by 4", "divide 12 by 4"),
    ("what is half of 90", "half of 90 = 45", "add 10 to it", "add 10 to 45"),
    ("120 / 8", "120 / 8 = 15", "with 6 instead", "120 / 6"),
    (
        "remind me to call Ana tomorrow",
        "I will remind you tomorrow.",
        "make it Friday",
        "remind me to call Ana Friday",
    ),
    ("tell Tom that I'm late", "Sent.", "and Ana too", "tell Ana that I'm late"),
    (
        "find a hotel in Rome for 2 people",
        "Hotel Roma",
        "what about 3 people?",
        "find a hotel in Rome for 3 people",
    ),
)


class Earlier(msgspec.Struct, frozen=True):
    """The turn before: what was asked, the tool that was called, and what it returned."""

    tool: str
    asked: Example
    result: str


class Rewritten(msgspec.Struct, frozen=True):
    """The message, made to stand alone."""

    message: str
    usage: Usage


def earlier_turn(messages: Sequence[Message]) -> Earlier | None:
    """The turn before the last message, if it called a tool."""
    questions = [position for position, message in enumerate(messages) if message.role == "user"]
    if len(questions) < 2:
        return None
    return called_turn(messages[questions[-2] : questions[-1]])


def called_turn(turn: Sequence[Message]) -> Earlier | None:
    """What a turn, which begins with the user's message, asked of a tool, and got: the last call."""
    question = turn[0]
    calls = [call.function for message in turn for call in message.tool_calls]
    results = [message.content for message in turn if message.role == "tool"]
    if not calls or not results:
        return None
    try:
        arguments = json.loads(calls[-1].arguments)
    except ValueError:
        return None
    return Earlier(calls[-1].name, Example(question.content, arguments), results[-1])


async def rewrite(llama: Llama, earlier: Earlier, message: str) -> Rewritten:
    """The message with what it leaves unsaid, put together from its words, the earlier request's, and the result's
    numbers."""
    question = words(earlier.asked.request)
    known = [*question, *_spoken_arguments(earlier), *numbers(earlier.result), *words(message)][
        :_LONGEST_MESSAGE_WORDS
    ]
    if numbers(earlier.result):
        known = [word for word in known if word.lower() not in REFERENCES]
    spoken = {word.lower() for word in question}
    new = [word for word in words(message) if word.lower() not in FUNCTION_WORDS | REFERENCES | spoken]
    grammar = Grammar()
    root = grammar.mixture(unique(known), "+-*/^().,%'", including=unique(new))
    done = await llama.complete(
        _prefix(),
        _turn(earlier.asked.request, earlier.result, message),
        grammar=grammar.text(root),
        max_tokens=_MOST_TOKENS,
    )
    return Rewritten(json.loads(f'"{done.text.strip()}"'), Usage(done.prompt_tokens, done.completion_tokens))


def _spoken_arguments(earlier: Earlier) -> list[str]:
    return [word for value in earlier.asked.arguments.values() for word in words(str(value))]


def _prefix() -> str:
    turns = [_turn(*shown[:3]) + shown[3] + "<|im_end|>\n" for shown in _DEMONSTRATIONS]
    return f"<|im_start|>system\n{_INSTRUCTION}<|im_end|>\n" + "".join(turns)


def _turn(question: str, answer: str, message: str) -> str:
    text = f"Question: {question}\nAnswer: {answer}\nNow: {message}".replace("<|", "< |")
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
