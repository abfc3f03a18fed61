"""Progress of long preparations on standard error: a bar for people, a line now and then for logs."""

import logging
import sys
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

_BAR_WIDTH = 30
_LINE_EVERY_SECONDS = 5


class Progress:
    """`advance` may be called as often as one likes."""

    def __init__(self) -> None:
        self._last_line = 0.0
        self._is_terminal = sys.stderr.isatty()

    def say(self, message: str) -> None:
        logger.info(message)

    def advance(self, done: int, total: int, label: str) -> None:
        """`done` of `total` bytes; the same numbers mean the end."""
        finished = done >= total
        if self._is_terminal:
            self._draw(done, total, label, finished)
        elif finished or time.monotonic() - self._last_line > _LINE_EVERY_SECONDS:
            self._last_line = time.monotonic()
            logger.info(label, extra={"megabytes": done // 1_000_000, "of": total // 1_000_000})

    def _draw(self, done: int, total: int, label: str, finished: bool) -> None:
        filled = _BAR_WIDTH * done // max(total, 1)
        bar = "█" * filled + "░" * (_BAR_WIDTH - filled)
        end = "\n" if finished else ""
        sys.stderr.write(f"\r{bar} {done // 1_000_000:4d} of {total // 1_000_000} MB  {label}\033[K{end}")
        sys.stderr.flush()


class PassingProgress(Progress):
    """A bar that is drawn while somebody waits for it, and leaves nothing behind."""

    def __init__(self, is_awaited: Callable[[], bool]) -> None:
        super().__init__()
        self._is_awaited = is_awaited

    def _draw(self, done: int, total: int, label: str, finished: bool) -> None:
        if finished:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
        elif self._is_awaited():
            super()._draw(done, total, label, finished)
