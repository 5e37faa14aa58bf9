"""What ``cloudwatchMetric`` actions measured: statistics of each metric since this process started.

Owns: CloudWatch's rules for a datum (PutMetricData: units, finite values, times of the last two weeks). Read by
``/metrics``; there is no CloudWatch API here, so nothing is kept by period.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from littoral.aws.service import ServiceError, modelled

MOST: Final = 1000  # different metrics: a scrape stays bounded
UNITS: Final = frozenset(
    {"Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "Count/Second", "None"}
    | {f"{size}{of}" for size in ("", "Kilo", "Mega", "Giga", "Tera") for of in ("Bytes", "Bits", "Bytes/Second")}
    | {f"{size}Bits/Second" for size in ("", "Kilo", "Mega", "Giga", "Tera")}
)
PAST, AHEAD = 14 * 86_400, 2 * 3_600  # seconds; "up to two weeks before the current date, and up to 2 hours after"


@dataclass(slots=True)
class Statistics:
    samples: int = 0
    total: float = 0.0
    least: float = math.inf
    most: float = -math.inf
    latest: float = 0.0
    at: float = -math.inf  # Unix seconds, of the latest

    def add(self, value: float, at: float) -> None:
        self.samples += 1
        self.total += value
        self.least, self.most = min(self.least, value), max(self.most, value)
        if at >= self.at:
            self.latest, self.at = value, at


@dataclass(slots=True)
class MetricData:
    metrics: dict[tuple[str, str, str], Statistics] = field(default_factory=dict)  # by namespace, name, unit

    def put(self, namespace: str, name: str, unit: str, value: float, at: float, now: float) -> None:
        """Raises ServiceError as PutMetricData does."""
        if not namespace or not name or namespace.startswith("AWS/") or max(len(namespace), len(name)) > 255:
            raise _invalid(f"{namespace!r} and {name!r} do not name a metric of one's own")
        if unit not in UNITS:
            raise _invalid(f"The unit {unit!r} does not exist")
        if not math.isfinite(value):
            raise _invalid("The value is not a finite number")
        if not now - PAST <= at <= now + AHEAD:
            raise _invalid("The time is more than two weeks past or two hours ahead")
        key = (namespace, name, unit)
        if key not in self.metrics and len(self.metrics) >= MOST:
            raise ServiceError("LimitExceededException", f"There are {MOST} different metrics already", status=400)
        self.metrics.setdefault(key, Statistics()).add(value, at)


_invalid = modelled("InvalidParameterValue")
