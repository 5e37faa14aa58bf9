"""Aggregated data points, as AWS's telemetry agent writes them. Pure.

One point is the metrics of one namespace at one moment: ``SystemMetrics``, ``GreengrassComponents``, or what a
component put (its own name, sums since the point before). Source: "Gather system health telemetry data", V2 guide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

SCHEMA: Final = "2020-07-30"
Point = Mapping[str, Any]
# Of a component, as the nucleus counts them.
STATES: Final = {
    "NEW": "New",
    "INSTALLED": "Installed",
    "STARTING": "Starting",
    "RUNNING": "Running",
    "STOPPING": "Stopping",
    "ERRORED": "Errored",
    "BROKEN": "Broken",
    "FINISHED": "Finished",
}
UNITS: Final = {
    "BYTES": "Bytes",
    "BYTES_PER_SECOND": "BytesPerSecond",
    "COUNT": "Count",
    "COUNT_PER_SECOND": "CountPerSecond",
    "MEGABYTES": "Megabytes",
    "SECONDS": "Seconds",
}


def system(at: int, cpu: float, memory: int, files: int) -> Point:
    """``cpu`` is percent of all processors, ``memory`` bytes in use, ``files`` open descriptors of the core."""
    metrics = [
        _metric("CpuUsage", round(cpu, 2), "Percent"),
        _metric("SystemMemUsage", round(memory / 1024**2), "Megabytes"),
        _metric("TotalNumberOfFDs", files, "Count"),
    ]
    return {"TS": at, "NS": "SystemMetrics", "M": metrics}


def components(at: int, states: Sequence[str]) -> Point:
    counted = Counter(states)
    metrics = [_metric(f"NumberOfComponents{shown}", counted[state], "Count") for state, shown in STATES.items()]
    return {"TS": at, "NS": "GreengrassComponents", "M": metrics}


def put(at: int, component: str, sums: Mapping[tuple[str, str], float]) -> Point:
    """What a component put: sums by metric and unit."""
    return {"TS": at, "NS": component, "M": [_metric(name, value, unit) for (name, unit), value in sums.items()]}


def payload(points: Sequence[Point]) -> dict[str, Any]:
    return {"Schema": SCHEMA, "ADP": list(points)}


def _metric(name: str, value: float, unit: str) -> dict[str, Any]:
    return {"N": name, "Sum": value, "U": unit}


def cpu_times(stat: str) -> tuple[int, int]:
    """Busy and all ticks since the boot, of /proc/stat."""
    ticks = [int(each) for each in stat.partition("\n")[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def memory_used(meminfo: str) -> int:
    """Bytes, of /proc/meminfo."""
    found = {line.partition(":")[0]: line.split()[1] for line in meminfo.splitlines() if len(line.split()) > 1}
    return (int(found["MemTotal"]) - int(found["MemAvailable"])) * 1024
