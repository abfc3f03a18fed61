"""Calls to a model that failed are made again, where that helps.

The rules. Only failures that pass by themselves are tried again: overload, a spent quota per minute, a broken
connection. The server's own delay is kept, and where it gave none we back off, twice as long each time, with jitter so
that clients don't return in step. Tries and total waiting are bounded; when a wait would go over, the failure is
raised at once, with the delay for the caller. After the first piece of an answer was streamed nothing is tried again:
the reader has seen it. The SDKs' own retries are off, so that nobody else decides.
"""

import asyncio
import logging
import random
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr

from pilothouse.errors import ModelError
from pilothouse.models.failures import Advice, Failure
from pilothouse.models.policies import RetryPolicy

log = logging.getLogger(__name__)


class Tries:
    """The tries at one call."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._made = 1
        self._waited = timedelta()

    async def pause(self, failure: Failure, cause: Exception) -> None:
        """Wait until it is time for the next try, or raise the failure's error where there is to be none."""
        delay = failure.delay if failure.delay is not None else self._backoff()
        waited = self._waited + delay
        if not failure.retry or self._made >= self._policy.tries or waited > self._policy.total_wait:
            raise failure.error from cause
        log.info(
            "model call failed, trying again",
            extra={"code": failure.error.code, "try": self._made, "delay_seconds": delay.total_seconds()},
        )
        self._made += 1
        self._waited = waited
        await asyncio.sleep(delay.total_seconds())

    def _backoff(self) -> timedelta:
        full = min(self._policy.first_delay * 2 ** (self._made - 1), self._policy.longest_delay)
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


class RetryingChatModel(BaseChatModel):
    """To be put before a vendor's chat model in a class's bases: its calls are tried again by the rules above, and fail
    with `ModelError`s. All else is the vendor's."""

    _policy: RetryPolicy = PrivateAttr(default_factory=RetryPolicy)
    _advice: Advice = PrivateAttr()
    _secrets: Sequence[str] = PrivateAttr(default=())

    def set_up(self, policy: RetryPolicy, advice: Advice, secrets: Sequence[str]) -> Self:
        """Say how often to try, what to tell people, and what no message may show. Returns the model itself."""
        self._policy, self._advice, self._secrets = policy, advice, secrets
        return self

    @abstractmethod
    def explain(self, error: Exception) -> Failure | None:
        """The vendor's error in our terms, or None if it is none of the vendor's."""

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        tries = Tries(self._policy)
        while True:
            try:
                return await super()._agenerate(messages, stop, run_manager, **kwargs)
            except Exception as error:  # noqa: BLE001 - raised again if it is not the vendor's
                await tries.pause(self._failure(error), error)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        tries = Tries(self._policy)
        streamed = False
        while not streamed:
            try:
                async for chunk in super()._astream(messages, stop, run_manager, **kwargs):
                    streamed = True
                    yield chunk
            except Exception as error:
                failure = self._failure(error)
                if streamed:
                    raise failure.error from error
                await tries.pause(failure, error)
            else:
                if not streamed:
                    raise ModelError("The model ended its answer before it began. Ask again.")

    def _failure(self, error: Exception) -> Failure:
        """Raises the error as it is where it is none of the vendor's."""
        failure = self.explain(error)
        if failure is None:
            raise error
        return failure
