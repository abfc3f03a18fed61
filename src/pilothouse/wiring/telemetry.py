"""What measures runs, and where it sends that."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pilothouse import __version__
from pilothouse.errors import StoreUnavailable
from pilothouse.ports.runs import QueueLoad, RunQueue
from pilothouse.settings import Settings
from pilothouse.telemetry.instruments import QUEUE_DEPTH, Recorder
from pilothouse.telemetry.prometheus import TallyMetrics
from pilothouse.telemetry.runs import RunTelemetry
from pilothouse.telemetry.spans import Tracer
from pilothouse.telemetry.tally import Tally

if TYPE_CHECKING:
    from pilothouse.telemetry.otlp import OtlpRecorder, OtlpTracer

_SENT_WITHIN = timedelta(seconds=1.5)
_COUNTED_WITHIN = timedelta(seconds=2)
_COUNT_QUEUE_EVERY = timedelta(seconds=15)


@dataclass(frozen=True)
class Measuring:
    telemetry: RunTelemetry
    metrics: TallyMetrics
    _load: Callable[[], Awaitable[QueueLoad]]
    _exports_metrics: bool

    async def run(self) -> None:
        """Count the queue every 15 s for as long as metrics are exported. (For `/metrics` it is counted when asked.)"""
        while self._exports_metrics:
            with suppress(StoreUnavailable):
                self.telemetry.add(QUEUE_DEPTH, (await self._load()).waiting)
            await asyncio.sleep(_COUNT_QUEUE_EVERY.total_seconds())


@asynccontextmanager
async def open_telemetry(settings: Settings, queue: RunQueue) -> AsyncGenerator[Measuring]:
    """Counting, always; and export over OTLP where an endpoint is set. At the end, what is left is sent within 1.5 s."""

    async def load() -> QueueLoad:
        return await _load_in_time(queue)

    tally = Tally()
    recorders: list[Recorder] = [tally]
    tracer: Tracer | None = None
    sending: list[OtlpTracer | OtlpRecorder] = []
    if settings.otlp_traces or settings.otlp_metrics:
        from pilothouse.telemetry import otlp

        about = otlp.resource(__version__)
        if settings.otlp_traces:
            tracer = otlp.OtlpTracer(settings.otlp_traces, about)
            tracer.become_global()
            sending.append(tracer)
        if settings.otlp_metrics:
            recorder = otlp.OtlpRecorder(settings.otlp_metrics, about)
            recorders.append(recorder)
            sending.append(recorder)
    telemetry = RunTelemetry(recorders, tracer)
    try:
        metrics = TallyMetrics(tally, telemetry, load, settings.concurrency)
        yield Measuring(telemetry, metrics, load, settings.otlp_metrics is not None)
    finally:
        if sending:
            from pilothouse.telemetry import otlp

            await asyncio.to_thread(otlp.shut_down, sending, _SENT_WITHIN)


async def _load_in_time(queue: RunQueue) -> QueueLoad:
    """Raises `StoreUnavailable`, also if that takes long."""
    try:
        async with asyncio.timeout(_COUNTED_WITHIN.total_seconds()):
            return await queue.load()
    except TimeoutError as error:
        raise StoreUnavailable from error
