"""``/metrics``: the counters of a place's capabilities as Prometheus text.

Knows no capability: it reads ``Reading``s from sources that the site names. A reading's name follows Prometheus'
conventions (``littoral_…``, ``_total`` for counters).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

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


class Metrics:
    """The handler of ``/metrics``. Prometheus' library is loaded when somebody looks."""

    def __init__(self) -> None:
        self._sources: list[Source] = []

    def add(self, source: Source) -> None:
        self._sources.append(source)

    def handle(self, _request: Request) -> Response:
        from littoral.site.exposition import CONTENT_TYPE_LATEST, exposition

        text = exposition(chain.from_iterable(source() for source in self._sources))
        return Response(200, Headers.of([("content-type", CONTENT_TYPE_LATEST)]), text)
