"""Crons as Redis hashes. An empty field stands for None."""

from collections.abc import Mapping
from typing import cast

import msgspec

from pilothouse.events import AgentId, Json, ThreadId
from pilothouse.ports.crons import Cron, CronId, CronPlan
from pilothouse.ports.principals import Principal
from pilothouse.ports.runs import MultitaskStrategy
from pilothouse.schedules import Schedule
from pilothouse.stores.client import Value
from pilothouse.stores.runs.records import request_from


def cron_fields(cron: Cron) -> list[Value]:
    """Names and values in turn; beside `version` and `next`, which the scripts write."""
    plan = cron.plan
    end = "" if plan.end_time_ms is None else plan.end_time_ms
    return [
        *("thread", cron.thread_id or "", "agent", plan.agent_id),
        *("expression", plan.schedule.expression, "timezone", plan.schedule.timezone or ""),
        *("request", msgspec.json.encode(plan.request), "payload", bytes(plan.payload)),
        *("end", end, "metadata", bytes(plan.metadata), "enabled", int(plan.enabled)),
        *("keep", int(plan.keep_thread), "strategy", plan.multitask_strategy, "webhook", plan.webhook or ""),
        *("created", cron.created_at_ms, "updated", cron.updated_at_ms),
    ]


def cron_from(principal: Principal, cron_id: CronId, fields: Mapping[bytes, bytes]) -> Cron:
    text = {name.decode(): value.decode() for name, value in fields.items()}
    plan = CronPlan(
        agent_id=AgentId(text["agent"]),
        schedule=Schedule(text["expression"], text["timezone"] or None),
        request=request_from(fields[b"request"]),
        payload=Json(fields[b"payload"]),
        end_time_ms=_number(text["end"]),
        metadata=Json(fields[b"metadata"]),
        enabled=text["enabled"] == "1",
        keep_thread=text["keep"] == "1",
        multitask_strategy=cast("MultitaskStrategy", text["strategy"]),
        webhook=text["webhook"] or None,
    )
    return Cron(
        cron_id=cron_id,
        principal=principal,
        thread_id=ThreadId(text["thread"]) if text["thread"] else None,
        plan=plan,
        created_at_ms=int(text["created"]),
        updated_at_ms=int(text["updated"]),
        next_run_ms=_number(text["next"]),
        version=int(text["version"]),
    )


def _number(text: str) -> int | None:
    return int(text) if text else None
