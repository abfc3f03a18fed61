"""Whom to tell what is being prepared."""

from typing import Protocol


class Report(Protocol):
    def say(self, message: str) -> None:
        """Something worth a line."""
        ...

    def advance(self, done: int, total: int, label: str) -> None:
        """`done` of `total` bytes of something long; equal numbers mean its end."""
        ...
