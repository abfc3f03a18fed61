"""What webhooks get: the run, as LangGraph's server tells it."""

from datetime import UTC, datetime

import msgspec

from pilothouse.events import Json
from pilothouse.ports.webhooks import Webhook
from pilothouse.wire.replies import instant
from pilothouse.wire.runs import RunReply, run_reply


class WebhookBody(RunReply, frozen=True, kw_only=True):
    run_started_at: datetime | None
    run_ended_at: datetime
    webhook_sent_at: datetime
    values: Json
    error: str | None


def webhook_body(webhook: Webhook, values: Json | None) -> bytes:
    run = webhook.run
    body = WebhookBody(
        **msgspec.structs.asdict(run_reply(run)),
        run_started_at=instant(run.begun_at_ms) if run.begun_at_ms else None,
        run_ended_at=instant(run.updated_at_ms),
        webhook_sent_at=datetime.now(UTC),
        values=values or Json(b"null"),
        error=webhook.end.error.message if webhook.end.error else None,
    )
    return msgspec.json.encode(body)
