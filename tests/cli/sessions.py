"""A command as a person runs it: at a pseudo-terminal, or with pipes."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.processes import environment

DEADLINE_SECONDS = 30
_STYLES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x01\x02]")
# The terminal becomes the child's own, so that its Ctrl-C is a signal.
_AT_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "pilothouse", *sys.argv[1:]])
"""


def run(
    *arguments: object, folder: Path, text: str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`pilothouse ARGUMENTS` in a folder to its end, with pipes; `text` is its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "pilothouse", *map(str, arguments)],
        cwd=folder,
        env=environment(env),
        input=text or "",
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


class Session:
    """What a person sees and types."""

    def __init__(self, process: "subprocess.Popen[bytes]", terminal: int) -> None:
        self._process = process
        self._terminal = terminal
        self.raw = ""
        """All that was written so far, as it came."""
        self._seen = 0

    @property
    def screen(self) -> str:
        """All that was written so far, without styles."""
        return _STYLES.sub("", self.raw).replace("\r\n", "\n")

    def expect(self, text: str) -> str:
        """Wait until this appears behind what was expected before; returns what stood between."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (at := self.screen.find(text, self._seen)) < 0:
            assert self._read(deadline), f"{text!r} did not appear:\n{self.screen}"
        between = self.screen[self._seen : at]
        self._seen = at + len(text)
        return between

    def type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def enter(self, line: str) -> None:
        self.type(line + "\r")

    def press_ctrl(self, letter: str) -> None:
        self.type(chr(ord(letter.upper()) - ord("@")))

    def wait(self) -> int:
        """The exit status."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self._read(deadline):
            pass
        return self._process.wait(5)

    def _read(self, deadline: float) -> bool:
        """Whether more was written before the deadline, and before the process ended."""
        ready, _, _ = select.select([self._terminal], [], [], max(0, deadline - time.monotonic()))
        try:
            piece = os.read(self._terminal, 65536) if ready else b""
        except OSError:  # the other end was closed
            return False
        self.raw += piece.decode(errors="replace")
        return bool(piece)


@contextmanager
def at_terminal(*arguments: object, folder: Path, env: Mapping[str, str] | None = None) -> Iterator[Session]:
    """`pilothouse ARGUMENTS` in a folder, at a terminal of 100 by 40 characters; killed if it runs on after the block."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    command = [sys.executable, "-c", _AT_TERMINAL, *map(str, arguments)]
    variables = environment({"TERM": "xterm-256color", **(env or {})})
    variables.pop("NO_COLOR", None)
    with subprocess.Popen(
        command, cwd=folder, env=variables, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        try:
            yield Session(process, ours)
        finally:
            if process.poll() is None:
                process.kill()
            os.close(ours)
