"""Readings as Prometheus' text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from littoral.site.metrics import Distribution, Reading

__all__ = ["CONTENT_TYPE_LATEST", "exposition"]

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


def exposition(readings: Iterable[Reading | Distribution]) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Read(readings))
    return generate_latest(registry)


class _Read(Collector):
    def __init__(self, readings: Iterable[Reading | Distribution]) -> None:
        self._readings = readings

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Family] = {}
        for reading in self._readings:
            family = families.get(reading.name)
            if family is None:
                family = families[reading.name] = _family(reading)
            values = tuple(reading.labels.values())
            if isinstance(reading, Reading):
                assert not isinstance(family, HistogramMetricFamily)
                family.add_metric(values, reading.value)
            else:
                assert isinstance(family, HistogramMetricFamily)
                family.add_metric(values, _cumulative(reading.buckets), reading.total)
        yield from families.values()


def _family(reading: Reading | Distribution) -> Family:
    labels = tuple(reading.labels)
    if isinstance(reading, Distribution):
        return HistogramMetricFamily(reading.name, reading.meaning, labels=labels)
    kind = CounterMetricFamily if reading.name.endswith("_total") else GaugeMetricFamily
    return kind(reading.name, reading.meaning, labels=labels)


def _cumulative(buckets: Sequence[tuple[float, int]]) -> list[tuple[str, float]]:
    """Prometheus counts in each bucket what is in those below it, too."""
    ends = ["+Inf" if math.isinf(end) else str(end) for end, _ in buckets]
    return list(zip(ends, accumulate(float(count) for _, count in buckets), strict=True))
