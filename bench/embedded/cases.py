"""What a case of the evaluation is."""

from dataclasses import dataclass

from whenever import Instant

CLOCK = Instant.from_utc(2026, 11, 22, 8, 40)
"""The evaluation's present: a Sunday."""
LOCAL_ZONE = "Europe/Vienna"


@dataclass(frozen=True)
class Case:
    """A request, the tool that should answer it (None: no tool should be called), and what the answer must contain: one of
    the alternatives, whatever the case. `after` are requests made before it in the same conversation."""

    request: str
    tool: str | None = None
    answers: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def asks(tool: str, *pairs: tuple[str, str]) -> list[Case]:
    """Cases of one tool: (request, alternatives of the answer separated by `|`)."""
    return [Case(request, tool, tuple(answers.split("|"))) for request, answers in pairs]


def talks(*requests: str) -> list[Case]:
    """Cases that need no tool."""
    return [Case(request) for request in requests]


def follows(*rows: tuple[str, str, str | None, str]) -> list[Case]:
    """Follow-ups: (request before, request, tool, alternatives of the answer)."""
    return [
        Case(request, tool, tuple(answers.split("|")), (before,)) for before, request, tool, answers in rows
    ]
