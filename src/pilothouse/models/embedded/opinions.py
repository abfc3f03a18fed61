"""A second opinion on which tool a message asks for: the language model's, by the tools' names.

Few examples teach the router too little. The model, shown the same examples, generalises further but sees tools everywhere;
where both say the same, they are right.
"""

from collections.abc import Sequence
from typing import TypeAlias

from pilothouse.models.embedded import smalltalk
from pilothouse.models.embedded.grammar import Grammar
from pilothouse.models.embedded.llama import Llama
from pilothouse.models.embedded.wire import Example, Function

Row: TypeAlias = tuple[str, str]
"""A message, and the name that answers it."""
_SHOWN = 3
_CHATS_A_TURN = 2
_NAME_TOKENS = 24
_CHAT = "chat"
_INSTRUCTION = "Choose the function that does what the user asks. Answer with its name, or with chat if no function does."


async def second_opinion(llama: Llama, tools: Sequence[Function], message: str) -> str | None:
    """The name of the tool that the model chooses; None for conversation."""
    grammar = Grammar()
    done = await llama.complete(
        opinion_prefix(tools),
        _asked(message),
        grammar=grammar.text(grammar.one_of([*(tool.name for tool in tools), _CHAT])),
        max_tokens=_NAME_TOKENS,
    )
    return None if done.text == _CHAT else done.text


def opinion_prefix(tools: Sequence[Function]) -> str:
    """The part of the prompt that is the same for every message: some of each tool's examples, with talk in between."""
    lines = [_INSTRUCTION]
    lines += [f"{tool.name}: {tool.description.split('. ')[0][:120]}" for tool in tools]
    lines.append(f"{_CHAT}: talk, general knowledge, explanations, anything else")
    chats = smalltalk.CHAT[:: len(smalltalk.CHAT) // (_SHOWN * _CHATS_A_TURN)]
    rows: list[Row] = []
    for turn in range(_SHOWN):
        group = [
            (shown[turn].request, tool.name) for tool in tools if turn < len(shown := _some(tool.examples))
        ]
        talk = [(chat, _CHAT) for chat in chats[turn * _CHATS_A_TURN : (turn + 1) * _CHATS_A_TURN]]
        rows += _interleaved(group, talk)
    shown_rows = [f"{_asked(request)}{name}<|im_end|>\n" for request, name in rows]
    return "<|im_start|>system\n" + "\n".join(lines) + "<|im_end|>\n" + "".join(shown_rows)


def _interleaved(many: Sequence[Row], few: Sequence[Row]) -> list[Row]:
    """Spread out: what stands last weighs more, and neither should."""
    every = max(1, len(many) // len(few))
    rest = list(few)
    rows: list[Row] = []
    for count, row in enumerate(many, start=1):
        rows += [row, rest.pop(0)] if rest and count % every == 0 else [row]
    return rows + rest


def _some(examples: Sequence[Example]) -> Sequence[Example]:
    return examples[:: max(1, len(examples) // _SHOWN)][:_SHOWN]


def _asked(message: str) -> str:
    message = message.replace("<|", "< |")
    return f"<|im_start|>user\n{message}<|im_end|>\n<|im_start|>assistant\n"
