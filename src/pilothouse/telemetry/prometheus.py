"""The tally as Prometheus reads it, and as JSON."""

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal

import msgspec

from pilothouse.errors import StoreUnavailable
from pilothouse.ports.runs import QueueLoad
from pilothouse.telemetry.instruments import ALL, QUEUE_DEPTH, UNDER_WAY, Instrument, Recorder
from pilothouse.telemetry.tally import Tally


class TallyMetrics:
    """The port `Metrics`. `slots` is how many runs this process executes at once, `recorder` is told of the queue's load."""

    def __init__(
        self, tally: Tally, recorder: Recorder, load: Callable[[], Awaitable[QueueLoad]], slots: int
    ) -> None:
        self._tally = tally
        self._recorder = recorder
        self._load = load
        self._slots = slots

    async def render(self, form: Literal["prometheus", "json"]) -> bytes:
        load = await self._counted()
        return self._json(load) if form == "json" else self._text()

    async def _counted(self) -> QueueLoad | None:
        """None while Redis can't be reached: what this process counted can be told all the same."""
        try:
            load = await self._load()
        except StoreUnavailable:
            self._recorder.add(QUEUE_DEPTH, math.nan)
            return None
        self._recorder.add(QUEUE_DEPTH, load.waiting)
        return load

    def _text(self) -> bytes:
        from prometheus_client.exposition import generate_latest

        return generate_latest(_Families(self._tally))  # pyright: ignore[reportArgumentType]  it needs `collect` alone

    def _json(self, load: QueueLoad | None) -> bytes:
        queue = {"n_pending": load.waiting, "n_running": load.under_way} if load else None
        active = int(self._tally.numbers(UNDER_WAY)[()])
        return msgspec.json.encode(
            {
                "queue": queue,
                "workers": {"max": self._slots, "active": active, "available": max(0, self._slots - active)},
                "metrics": {each.name: self._samples(each) for each in ALL},
            }
        )

    def _samples(self, instrument: Instrument) -> list[dict[str, Any]]:
        names = instrument.attributes
        if instrument.kind != "histogram":
            numbers = self._tally.numbers(instrument)
            return [
                {"attributes": _named(names, labels), "value": value} for labels, value in numbers.items()
            ]
        return [
            {
                "attributes": _named(names, labels),
                "count": sum(counts),
                "sum": total,
                "bounds": instrument.buckets,
                "counts": counts,
            }
            for labels, (counts, total) in self._tally.distributions(instrument).items()
        ]


def _named(names: Iterable[str], labels: Iterable[str]) -> dict[str, str]:
    return {name: value for name, value in zip(names, labels, strict=True) if value}


class _Families:
    """A collector of prometheus_client."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterable[Any]:
        from prometheus_client.metrics_core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for each in ALL:
            name, labels = _prometheus_name(each), [_underscored(name) for name in each.attributes]
            if each.kind == "histogram":
                family: Any = HistogramMetricFamily(name, each.description, labels=labels)
                bounds = [*(str(bound) for bound in each.buckets), "+Inf"]
                for values, (counts, total) in self._tally.distributions(each).items():
                    family.add_metric(values, _cumulative(bounds, counts), total)
            else:
                kind = CounterMetricFamily if each.kind == "counter" else GaugeMetricFamily
                family = kind(name, each.description, labels=labels)
                for values, value in self._tally.numbers(each).items():
                    family.add_metric(values, value)
            yield family


def _prometheus_name(instrument: Instrument) -> str:
    """As OpenTelemetry's own exporter for Prometheus makes it: the unit at the end, where it is no annotation."""
    name = _underscored(instrument.name)
    return f"{name}_seconds" if instrument.unit == "s" else name


def _underscored(name: str) -> str:
    return name.replace(".", "_")


def _cumulative(bounds: list[str], counts: list[int]) -> list[tuple[str, float]]:
    total, pairs = 0, list[tuple[str, float]]()
    for bound, count in zip(bounds, counts, strict=True):
        total += count
        pairs.append((bound, total))
    return pairs
