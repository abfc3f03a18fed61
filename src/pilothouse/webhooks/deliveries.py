"""Deliveries: what is told of a run's end, and when it is tried again. At least once; the message's id tells doubles apart."""

import logging
import random
import time
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

import msgspec

from pilothouse.errors import PilothouseError
from pilothouse.events import Json
from pilothouse.ports.engines import Agents
from pilothouse.ports.runs import Run
from pilothouse.ports.webhooks import Webhook, WebhookLease, WebhookQueue
from pilothouse.webhooks.addresses import WebhookFailed, WebhookRefused
from pilothouse.webhooks.sending import Sender

logger = logging.getLogger(__name__)

Encode = Callable[[Webhook, Json | None], bytes]
"""The body, from the delivery and the values that the thread had at the end of the run, where there are any."""

_AT_ONCE = 32
_NULL = Json(b"null")


class Backoff(msgspec.Struct, frozen=True):
    """How long to wait between attempts: longer and longer, and never quite as long as the others do."""

    first: timedelta = timedelta(seconds=5)
    give_up_after: timedelta = timedelta(hours=24)
    """Counted from the end of the run."""

    def delay(self, attempt: int) -> timedelta:
        """After the n-th attempt."""
        return self.first * 2 ** min(attempt - 1, 30) * random.uniform(0.75, 1.25)  # noqa: S311  no secret


class _State(msgspec.Struct, frozen=True):
    values: Json


class Deliveries:
    def __init__(
        self,
        queue: WebhookQueue,
        sender: Sender,
        agents: Agents,
        encode: Encode,
        backoff: Backoff = Backoff(),  # noqa: B008  frozen
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._agents = agents
        self._encode = encode
        self._backoff = backoff

    async def run(self) -> None:
        """Deliver what is due, until cancelled."""
        await self._queue.work(self._deliver, _AT_ONCE)

    async def _deliver(self, lease: WebhookLease) -> None:
        webhook = lease.webhook
        body = webhook.body
        if body is None:
            body = self._encode(webhook, await self._values(webhook.run))
            await lease.keep(body)
        facts = {
            "run_id": webhook.run.run_id,
            "host": urlsplit(webhook.url).hostname,
            "attempt": webhook.attempt,
        }
        try:
            await self._sender.send(webhook.url, f"msg_{webhook.run.run_id}", body)
        except WebhookRefused as error:
            logger.warning("webhook refused", extra={**facts, "reason": str(error)})
        except WebhookFailed as error:
            delay = self._backoff.delay(webhook.attempt)
            ended = timedelta(milliseconds=webhook.run.updated_at_ms)
            if timedelta(seconds=time.time()) + delay - ended < self._backoff.give_up_after:
                wait = round(delay.total_seconds())
                logger.warning(
                    "webhook failed", extra={**facts, "reason": str(error), "again_in_seconds": wait}
                )
                await lease.postpone(delay)
                return
            logger.warning("webhook given up", extra={**facts, "reason": str(error)})
        else:
            logger.info("webhook delivered", extra=facts)
        await lease.settle()

    async def _values(self, run: Run) -> Json | None:
        """What the run made of its thread; None if it wrote nothing, or its thread or its agent is gone."""
        if not run.begun_at_ms:
            return None
        try:
            engine = await self._agents.engine(run.agent_id)
            wrote = {"run_id": run.run_id}
            states = await engine.history(run.principal, run.thread_id, limit=1, metadata=wrote)
        except PilothouseError as error:
            logger.warning("no values for the webhook", extra={"run_id": run.run_id, "reason": str(error)})
            return None
        except Exception:  # the agent's own code makes its graph: the end is told without values
            logger.exception("no values for the webhook", extra={"run_id": run.run_id})
            return None
        return msgspec.json.decode(states[0].data, type=_State).values if states else None
