"""Whom to tell what is being prepared."""

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
        self.under_way: str | None = None

    def say(self, message: str) -> None:
        self._report.say(message)

    def advance(self, done: int, total: int, label: str) -> None:
        megabytes = f"{done // 1_000_000} of {total // 1_000_000} MB"
        self.under_way = None if done >= total else f"{label}: {megabytes}"
        self._report.advance(done, total, label)
