"""JSON of which only the beginning has come."""

from typing import Any

import msgspec

_CLOSES = {"{": "}", "[": "]"}


def parse_partial(text: str) -> Any:
    """The value of a JSON text that may be cut off anywhere; None if nothing of it can be read.

    What is open at the cut is closed; an unfinished last word, key or number is left out.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        pass
    while text:
        try:
            return msgspec.json.decode(_closed(text))
        except (msgspec.DecodeError, UnicodeError):
            text = _shorter(text)
    return None


def _closed(text: str) -> str:
    """The text with everything closed that is open at its end."""
    open_brackets: list[str] = []
    in_string = escaped = False
    for char in text:
        if in_string:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_string = False
        elif char == '"':
            in_string = True
        elif char in _CLOSES:
            open_brackets.append(_CLOSES[char])
        elif open_brackets and char == open_brackets[-1]:
            open_brackets.pop()
    body = text[:-1] if escaped else text
    return body + ('"' if in_string else "") + "".join(reversed(open_brackets))


def _shorter(text: str) -> str:
    """The text without its last character, and without the comma that then ends it."""
    return text[:-1].rstrip().removesuffix(",")
