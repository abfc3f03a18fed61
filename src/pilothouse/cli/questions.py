"""What an agent asks before it goes on, and the reply in the form that it expects."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from pilothouse.cli.json_shapes import as_list, as_object
from pilothouse.cli.views import Interrupt, text_of

_WORDS = ("question", "message", "prompt", "description")
_YES = {"y", "yes", "ok", "approve"}
_NO = {"n", "no", "reject"}


def lines_of(interrupt: Interrupt) -> list[str]:
    """The question, for people."""
    if requests := _requests(interrupt):
        lines = [line for each in requests for line in _request(each)]
        return [*lines, "May it do this? yes, or no and why not"]
    fields = as_object(interrupt.value)
    words = next((fields[name] for name in _WORDS if isinstance(fields.get(name), str)), None)
    if words is None:
        return text_of(interrupt.value).splitlines()
    rest = {name: value for name, value in fields.items() if value != words}
    shown = json.dumps(rest, ensure_ascii=False, indent=2).splitlines() if rest else []
    return [*shown, *words.splitlines()]


def reply_to(interrupt: Interrupt, text: str) -> Any:
    """The value to go on with: for tool calls that wait for approval a decision on all of them, in the shape of LangChain's
    human-in-the-loop middleware; else the text, or the JSON that it is."""
    if requests := _requests(interrupt):
        return {"decisions": [_decision(text)] * len(requests)}
    return _parsed(text)


def _requests(interrupt: Interrupt) -> Sequence[Any]:
    return as_list(as_object(interrupt.value).get("action_requests"))


def _request(request: object) -> list[str]:
    fields = as_object(request)
    arguments = fields.get("args", fields.get("arguments", {}))
    call = f"{fields.get('name', fields.get('action'))}({json.dumps(arguments, ensure_ascii=False)})"
    description = str(fields.get("description") or "").splitlines()[
        :1
    ]  # LangChain's goes on with the arguments
    return [call, *description]


def _decision(text: str) -> dict[str, str]:
    word, _, rest = text.strip().partition(" ")
    if word.lower().rstrip(",.") in _YES:
        return {"type": "approve"}
    reason = rest if word.lower().rstrip(",.") in _NO else text.strip()
    return {"type": "reject", "message": reason} if reason else {"type": "reject"}


def _parsed(text: str) -> Any:
    if text.startswith(("{", "[")) or text in ("true", "false"):
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(text)
    return text
