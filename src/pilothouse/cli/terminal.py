"""The terminal that a person sits at, or the pipe that a program reads.

On a terminal everything goes to standard output, with styles. Where standard output is no terminal it gets the answers
alone, and what is said around them goes to standard error.
"""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Generator
from contextlib import contextmanager, suppress

_STYLES = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Without what would steer a terminal: the text is a model's, or a tool's."""
    return _CONTROL.sub("", text)


def wrapped(line: str, width: int, indent: str = "") -> str:
    """Broken between words; `indent` is what further lines begin with."""
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


class Terminal:
    """Writes for people, and asks them."""

    def __init__(self, *, for_programs: bool = False) -> None:
        """`for_programs` makes a terminal a pipe like any other."""
        self.is_terminal = sys.stdout.isatty() and not for_programs
        self.has_person = self.is_terminal and sys.stdin.isatty()
        # These two speak of the terminal and configure nothing of ours.
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"  # noqa: TID251
        self._has_styles = self.is_terminal and not plain
        self.is_waiting = False
        """Whether something is under way and has not said a word yet."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError):  # replaced by something that is no text file
                stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

    @property
    def width(self) -> int:
        """Characters a line."""
        return shutil.get_terminal_size().columns

    def styled(self, text: str, *styles: str) -> str:
        if not self._has_styles or not styles or not text:
            return text
        codes = ";".join(_STYLES[style] for style in styles)
        return f"\033[{codes}m{text}\033[0m"

    def write(self, text: str) -> None:
        """A part of an answer."""
        self._clear_waiting()
        sys.stdout.write(printable(text) if self.is_terminal else text)
        sys.stdout.flush()

    def say(self, line: str = "", *styles: str) -> None:
        """A line around the answers."""
        text = printable(line)
        if self.is_terminal:
            text = "\n".join(self._fitted(each) for each in text.split("\n"))
        self.say_styled(self.styled(text, *styles))

    def _fitted(self, line: str) -> str:
        indent = " " * (len(line) - len(line.lstrip()))
        return wrapped(line, self.width, indent) if len(line) > self.width else line

    def say_styled(self, line: str) -> None:
        """A line that has its styles."""
        self._clear_waiting()
        stream = sys.stdout if self.is_terminal else sys.stderr
        stream.write(line + "\n")
        stream.flush()

    def put(self, lines: str) -> None:
        """Lines that a program is to get too."""
        self._clear_waiting()
        sys.stdout.write(lines + "\n")
        sys.stdout.flush()

    def complain(self, line: str) -> None:
        """A line that says what went wrong."""
        self.say(line, "red")

    @contextmanager
    def waiting(self, text: str = "…") -> Generator[None]:
        """Show dimly that something is under way until the next word, at most to the end of the block."""
        if self._has_styles:
            sys.stdout.write(self.styled(text, "dim"))
            sys.stdout.flush()
        self.is_waiting = True
        try:
            yield
        finally:
            self._clear_waiting()

    def ask(self, prompt: str) -> str:
        """A line that the person types; without a person the next line of standard input. Raises `EOFError`."""
        if not self.has_person:
            return input()
        with suppress(ImportError):
            __import__("readline")  # that alone gives `input` a history and editing
        sys.stdout.flush()
        return input(self._invisible_to_readline(prompt))

    def _invisible_to_readline(self, prompt: str) -> str:
        """readline counts the prompt's width: it is told which of its characters take no room."""
        return f"\001\033[1;36m\002{prompt}\001\033[0m\002" if self._has_styles else prompt

    def _clear_waiting(self) -> None:
        if self.is_waiting and self._has_styles:
            sys.stdout.write("\r\033[K")
        self.is_waiting = False
