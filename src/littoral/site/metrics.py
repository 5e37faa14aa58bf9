"""``/metrics``: the counters of a place's capabilities as Prometheus text.

Knows no capability: it reads ``Reading``s from sources that the site names. A reading's name follows Prometheus'
conventions (``littoral_…``, ``_total`` for counters).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from littoral.net.message import Headers, Request, Response


@dataclass(frozen=True, slots=True)
class Reading:
    """One number of one capability at this moment. A name that ends in ``_total`` is a counter, else a gauge."""

    name: str
    meaning: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram of one capability at this moment. ``buckets`` are (upper end, count in this bucket alone), the last
    one's upper end infinite; ``total`` is the sum of all values."""

    name: str
    meaning: str
    buckets: Sequence[tuple[float, int]]
    total: float
    labels: Mapping[str, str] = field(default_factory=dict)


Source = Callable[[], Iterable[Reading | Distribution]]
Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class Metrics(Collector):
    """The handler of ``/metrics``."""

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def add(self, source: Source) -> None:
        self._sources.append(source)

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Family] = {}
        for source in self._sources:
            for reading in source():
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

    def handle(self, _request: Request) -> Response:
        text = generate_latest(self._registry)
        return Response(200, Headers.of([("content-type", CONTENT_TYPE_LATEST)]), text)


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
