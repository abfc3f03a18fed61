"""Why a call to a model failed, whatever the provider: what to tell people, and whether to call again."""

import email.utils
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from pilothouse.errors import ModelError, ModelKeyInvalid, ModelQuotaExceeded, ModelUnavailable, ModelUnknown

LONGEST_SENTENCE = 400


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """Who the server is, and what to do, in a sentence each, when it …"""

    server: str
    refused: str
    """… refuses us,"""
    unknown: str
    """… has no such model,"""
    down: str
    """… or can't be reached."""

    @property
    def subject(self) -> str:
        """The server as the first word of a sentence."""
        return self.server[:1].upper() + self.server[1:]


class Failure(msgspec.Struct, frozen=True):
    """A vendor's error in our terms."""

    error: ModelError
    retry: bool = False
    """Whether the same call may succeed within a minute or so."""
    delay: timedelta | None = None
    """How long the server asks to wait."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What a server answered instead of what it was asked for."""

    status: int
    """Of HTTP, also where the error came as an event of a stream."""
    sentence: str
    """The server's own words, fit to be shown (see `sentence`)."""
    about: Literal["key", "context", "lasting quota"] | None = None
    """What it is about, where the status does not tell."""
    delay: timedelta | None = None


def refused(refusal: Refusal, advice: Advice) -> Failure:
    """The one table from what servers answer to our errors."""
    subject, words, delay = advice.subject, refusal.sentence, refusal.delay
    match refusal:
        case Refusal(about="context") | Refusal(status=413):
            fix = "Begin a new thread, or choose a model with a larger context."
            return Failure(ModelError(f"The conversation is too long for the model: {words} {fix}"))
        case Refusal(about="key") | Refusal(status=401 | 403):
            return Failure(ModelKeyInvalid(f"{subject} refused access: {words} {advice.refused}"))
        case Refusal(status=404):
            return Failure(ModelUnknown(f"{subject} has no such model: {words} {advice.unknown}"))
        case Refusal(about="lasting quota"):
            fix = "Raise the quota with the provider, or choose another model."
            return Failure(ModelQuotaExceeded(f"{subject}: the quota is spent: {words} {fix}", delay))
        case Refusal(status=429):
            fix = f"Try again in {_spoken(delay)}, or choose another model."
            error = ModelQuotaExceeded(f"{subject} takes no more for now: {words} {fix}", delay)
            return Failure(error, retry=True, delay=delay)
        case Refusal(status=status) if status == 408 or status >= 500:
            error = ModelUnavailable(f"{subject} can't answer now: {words} Try again in {_spoken(delay)}.")
            return Failure(error, retry=True, delay=delay)
        case _:
            return Failure(ModelError(f"{subject} refused the request: {words}"))


def unreachable(advice: Advice, *, retry: bool) -> Failure:
    """No connection came about."""
    return Failure(ModelUnavailable(f"{advice.subject} can't be reached. {advice.down}"), retry)


def cut_off(advice: Advice) -> Failure:
    """The connection broke during the answer."""
    return Failure(ModelUnavailable(f"The connection to {advice.server} broke. Ask again."), retry=True)


def silent(advice: Advice) -> Failure:
    """The server took the request and then said nothing for too long: to ask it again would take as long again."""
    return Failure(ModelUnavailable(f"{advice.subject} took too long to answer. Ask again, or ask for less."))


def delay_in(headers: Mapping[str, str]) -> timedelta | None:
    """What `retry-after-ms` or `Retry-After` (seconds or a date, RFC 9110 §10.2.3) asks for."""
    for name, unit in (("retry-after-ms", timedelta(milliseconds=1)), ("retry-after", timedelta(seconds=1))):
        if (number := _number(headers.get(name))) is not None:
            return number * unit
    try:
        moment = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(moment - datetime.now(UTC), timedelta())


def sentence(text: str, secrets: Sequence[str]) -> str:
    """A provider's own words, fit to be shown: one line, not too long, without our keys."""
    for secret in secrets:
        text = text.replace(secret, "…")
    if "<html" in text.lower():  # a proxy's page
        text = re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    line = " ".join(text.split())
    line = line if len(line) <= LONGEST_SENTENCE else f"{line[:LONGEST_SENTENCE].rstrip()}…"
    return line if line.endswith((".", "!", "?", "…")) else f"{line}."


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, outermost first."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return min(number, 1e9) if number >= 0 and not math.isnan(number) else None


def _spoken(delay: timedelta | None) -> str:
    if delay is None:
        return "a moment"
    seconds = math.ceil(delay.total_seconds())
    return "a second" if seconds <= 1 else f"{seconds} seconds"
