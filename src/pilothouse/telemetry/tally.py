"""What was measured in this process since its start, in plain numbers: counting must not need an exporter, nor its imports."""

import threading
from bisect import bisect_left
from collections.abc import Mapping

from pilothouse.telemetry.instruments import ALL, Instrument, Labels


class Distribution:
    """A histogram: how often each bucket was hit, and the sum of what was recorded."""

    __slots__ = ("counts", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        """Not cumulative; the last is what is above all bounds."""
        self.sum = 0.0


class Tally:
    """The port `Recorder`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, dict[tuple[str, ...], float]] = {
            each.name: {} if each.attributes else {(): 0.0} for each in ALL if each.kind != "histogram"
        }
        self._distributions: dict[str, dict[tuple[str, ...], Distribution]] = {
            each.name: {} for each in ALL if each.kind == "histogram"
        }

    def add(self, instrument: Instrument, value: float, labels: Labels = ()) -> None:
        key = tuple(labels)
        with self._lock:
            if instrument.kind == "histogram":
                of_labels = self._distributions[instrument.name]
                distribution = of_labels.get(key)
                if distribution is None:
                    distribution = of_labels[key] = Distribution(len(instrument.buckets))
                distribution.counts[bisect_left(instrument.buckets, value)] += 1
                distribution.sum += value
            elif instrument.kind == "gauge":
                self._numbers[instrument.name][key] = value
            else:
                numbers = self._numbers[instrument.name]
                numbers[key] = numbers.get(key, 0.0) + value

    def numbers(self, instrument: Instrument) -> Mapping[tuple[str, ...], float]:
        """By labels, of what is no histogram."""
        with self._lock:
            return dict(self._numbers[instrument.name])

    def distributions(self, instrument: Instrument) -> Mapping[tuple[str, ...], tuple[list[int], float]]:
        """Counts and sum by labels, of a histogram."""
        with self._lock:
            found = self._distributions[instrument.name].items()
            return {labels: (list(each.counts), each.sum) for labels, each in found}
