"""``/metrics``: the counters of a place's capabilities as Prometheus text.

Knows no capability: it reads ``Reading``s from sources that the site names. A reading's name follows Prometheus'
conventions (``littoral_…``, ``_total`` for counters).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from littoral.net.message import Headers, Request, Response


@dataclass(frozen=True, slots=True)
class Reading:
    """One number of one capability at this moment. A name that ends in ``_total`` is a counter, else a gauge."""

    name: str
    meaning: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


Source = Callable[[], Iterable[Reading]]


class Metrics(Collector):
    """The handler of ``/metrics``."""

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def add(self, source: Source) -> None:
        self._sources.append(source)

    def collect(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for source in self._sources:
            for reading in source():
                family = families.get(reading.name)
                if family is None:
                    kind = CounterMetricFamily if reading.name.endswith("_total") else GaugeMetricFamily
                    family = kind(reading.name, reading.meaning, labels=tuple(reading.labels))
                    families[reading.name] = family
                family.add_metric(tuple(reading.labels.values()), reading.value)
        yield from families.values()

    def handle(self, _request: Request) -> Response:
        text = generate_latest(self._registry)
        return Response(200, Headers.of([("content-type", CONTENT_TYPE_LATEST)]), text)
