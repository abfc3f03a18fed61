"""What is shown of a run: to people, or to programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from pilothouse.cli.following import Frame
from pilothouse.cli.json_shapes import as_list, as_object
from pilothouse.cli.terminal import Terminal

MODES = ("messages-tuple", "tools", "updates")
_LONGEST_ARGUMENT = 80
_LONGEST_LINE = 160
_MOST_LINES = 6


class Interrupt(msgspec.Struct, frozen=True):
    """What the agent asks before it goes on."""

    id: str
    value: Any


class Outcome(msgspec.Struct):
    """What a run came to."""

    status: str = ""
    """`success`, `error`, `timeout`, or `interrupted`: stopped, or waiting for the answer to its `interrupts`."""
    interrupts: Sequence[Interrupt] = ()
    error_code: str | None = None

    def absorb(self, frame: Frame) -> None:
        fields = as_object(frame.data)
        match frame.event:
            case "updates" if "__interrupt__" in fields:
                self.interrupts = interrupts_of(fields["__interrupt__"])
            case "error":
                self.error_code = str(fields.get("error"))
            case "end":
                self.status = str(fields.get("status"))
            case _:
                pass


class View(Protocol):
    def show(self, frame: Frame) -> None:
        """A frame of the run, in order."""
        ...


class Lines:
    """Each frame as one line of JSON: `{"event", "data", "id"}`."""

    def show(self, frame: Frame) -> None:
        sys.stdout.write(msgspec.json.encode(frame).decode() + "\n")
        sys.stdout.flush()


class Conversation:
    """The answer as it comes, and each tool call in dim lines."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._shown: set[str] = set()
        """The ids of the messages that were shown."""
        self._message = ""
        """The id of the message that is being written."""
        self._ends_line = True
        self._last_call = ""

    def show(self, frame: Frame) -> None:
        fields = as_object(frame.data)
        match frame.event:
            case "messages":
                self._chunk(as_object(next(iter(as_list(frame.data)), None)))
            case "updates":
                self._update(fields)
            case "tools":
                self._tool(fields)
            case "metadata" if fields.get("attempt", 1) > 1:
                self._say("The server went down in the middle of this; another try begins.", "dim")
                self._shown.clear()
            case "error":
                self._say(str(fields.get("message")), "red")
            case "end" if fields.get("status") == "success" and not self._shown:
                self._say("The agent ended without a word.", "dim")
            case "end":
                self._finish_line()
            case _:
                pass

    def _chunk(self, message: Mapping[str, Any]) -> None:
        if not str(message.get("type", "")).lower().startswith("ai"):
            return
        if text := text_of(message.get("content")):
            self._text(str(message.get("id")), text)

    def _text(self, message_id: str, text: str) -> None:
        if message_id != self._message:
            text = text.lstrip("\n")
            self._finish_line()
            if self._message or self._last_call:
                self._terminal.say()
            self._message, self._last_call = message_id, ""
        self._shown.add(message_id)
        if text:
            self._terminal.write(text)
            self._ends_line = text.endswith("\n")

    def _update(self, update: Mapping[str, Any]) -> None:
        """Messages of a subgraph come in an update alone."""
        for writes in update.values():
            for write in as_list(writes) or [writes]:
                messages = as_object(write).get("messages")
                for message in map(as_object, as_list(messages) or [messages]):
                    if str(message.get("id")) not in self._shown:
                        self._chunk(message)

    def _tool(self, event: Mapping[str, Any]) -> None:
        call = str(event.get("tool_call_id"))
        name = str(event.get("tool_name"))
        if event["event"] == "tool-started":
            self._say(f"  ▸ {name}({_arguments(event.get('input'))})", "dim")
        else:
            failed = event["event"] == "tool-error"
            text = str(event.get("message")) if failed else text_of(event.get("output"))
            whose = "" if call == self._last_call else f"{name}: "
            mark = "✗ " if failed else ""
            for line in _shortened(f"{mark}{whose}{text}"):
                self._say(f"    {line}", *(("red",) if failed else ("dim",)))
        self._last_call = call

    def _say(self, line: str, *styles: str) -> None:
        self._finish_line()
        self._terminal.say(line, *styles)

    def _finish_line(self) -> None:
        if not self._ends_line:
            self._terminal.write("\n")
        self._ends_line = True


def interrupts_of(found: object) -> list[Interrupt]:
    return [Interrupt(str(each.get("id")), each.get("value")) for each in map(as_object, as_list(found))]


def text_of(content: object) -> str:
    """The text of a message's content, of a message, or of whatever a tool returned."""
    if content is None or isinstance(content, str):
        return content or ""
    if blocks := as_list(content):
        return "".join(map(text_of, blocks))
    fields = as_object(content)
    for name in ("content", "text"):
        if name in fields:
            return text_of(fields[name])
    return json.dumps(content, ensure_ascii=False)


def _arguments(given: object) -> str:
    shown = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in as_object(given).items()]
    return ", ".join(_cut(each, _LONGEST_ARGUMENT) for each in shown)


def _shortened(text: str) -> list[str]:
    lines = [_cut(line, _LONGEST_LINE) for line in text.strip().splitlines()]
    return lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 1], f"… {len(lines)} lines"]


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
