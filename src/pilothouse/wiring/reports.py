"""Whom to tell what is being prepared."""

from collections.abc import Mapping
from typing import Protocol


class Report(Protocol):
    def say(self, message: str) -> None:
        """Something worth a line."""
        ...

    def advance(self, done: int, total: int, label: str) -> None:
        """`done` of `total` bytes of something long; equal numbers mean its end."""
        ...


class Preparation:
    """Passes reports on, and remembers what is under way, for `/info`."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.under_way: Mapping[str, str | int] | None = None
        """`label`, `done_bytes`, `total_bytes`."""

    def say(self, message: str) -> None:
        self._report.say(message)

    def advance(self, done: int, total: int, label: str) -> None:
        under_way = {"label": label, "done_bytes": done, "total_bytes": total}
        self.under_way = None if done >= total else under_way
        self._report.advance(done, total, label)
