"""What a model server of the tests is to answer."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec


class Call(msgspec.Struct, frozen=True):
    """A tool call that the model makes. Gemini 3 signs the first call of each answer, and wants the signature back."""

    name: str
    arguments: Mapping[str, Any] = {}
    signature: str = "c2lnbmF0dXJl"
    id: str = ""
    """The server numbers the calls that have none."""


class Answer(msgspec.Struct, frozen=True):
    """One answer of the model: text, tool calls, or text and then calls."""

    text: str = ""
    calls: Sequence[Call] = ()
    delay_seconds: float = 0.0
    """Before anything is sent."""
    hold: asyncio.Event | None = None
    """After the first token, wait for this."""
    cut_after: int | None = None
    """Drop the connection after so many tokens; 0 drops it after the headers."""

    @property
    def tokens(self) -> list[str]:
        """The text in the pieces that are streamed: words with the space behind them."""
        return re.findall(r"\S+\s*|\s+", self.text)


class Failure(msgspec.Struct, frozen=True):
    """An error of the provider, in the shape of its wire."""

    status: int
    message: str
    code: str | None = None
    """OpenAI's `error.code`, Gemini's `ErrorInfo.reason`."""
    retry_after_seconds: float | None = None
    """OpenAI's header, Gemini's `RetryInfo`."""
    quota_id: str | None = None
    """Gemini's `QuotaFailure`: which quota is spent."""
    headers: Mapping[str, str] = {}
    in_stream: bool = False
    """As an event of a stream that began well."""


Step: TypeAlias = Answer | Failure


class ModelRequest(msgspec.Struct, frozen=True):
    """A request as the server got it. `gone` is set if the client left before the answer ended."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    model: str
    at_seconds: float
    """When it came, on the event loop's clock."""
    gone: asyncio.Event

    @property
    def credential(self) -> str:
        """The API key or bearer token that came with it, else an empty string."""
        return self.headers.get("x-goog-api-key") or self.headers.get("authorization", "").removeprefix(
            "Bearer "
        )
