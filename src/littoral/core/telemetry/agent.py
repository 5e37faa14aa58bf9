"""The telemetry agent: points are gathered every so often, and go up by HTTPS; what does not, waits in memory.

Not by MQTT, where a core whose policies do not allow it would be cut off for it. What was gathered and not yet
published is lost with the process, as with AWS's. A core whose deployment says nothing of the nucleus has the
defaults.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from littoral.core.exchange import TokenExchange
from littoral.core.ipc.authorising import authorise
from littoral.core.ipc.calls import Call, Document, Handler, invalid
from littoral.core.ipc.ports import Components
from littoral.core.telemetry import points
from littoral.core.telemetry.configuration import Settings, settings_of
from littoral.core.upward import Declined, Unreachable

log = logging.getLogger(__name__)

SERVICE: Final = "aws.greengrass.ipc.componentmetric"
MOST_POINTS: Final = 500  # gathered for one message, below 128 KiB; the oldest go
MOST_METRICS: Final = 200  # of one component between two points
_METRIC: Final = re.compile(r"[A-Za-z0-9 ._/-]{1,256}")
Publish = Callable[[str, bytes], Awaitable[None]]
"""Of a topic and a payload; durable there when it returns. Raises Unreachable, Declined."""


class TelemetryAgent:
    """``publish`` brings a message to the place above; ``exchange`` is told of another role alias; ``states`` is how
    all components fare."""

    def __init__(
        self,
        thing: str,
        components: Components,
        exchange: TokenExchange,
        publish: Publish,
        states: Callable[[], list[str]],
    ) -> None:
        self._topic = f"$aws/things/{thing}/greengrass/health/json"
        self._components = components
        self._exchange = exchange
        self._alias = exchange.alias
        self._publish_above = publish
        self._states = states
        self._settings: Settings | None = None
        self._task: asyncio.Task[None] | None = None
        self._gathered: deque[points.Point] = deque(maxlen=MOST_POINTS)
        self._sums: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
        self._ticks = (0, 0)

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        settings = settings_of(configuration or {})
        if settings == self._settings:
            return
        await self.close()
        self._settings = settings
        self._exchange.use(settings.alias or self._alias)
        if settings.enabled:
            self._ticks = points.cpu_times(Path("/proc/stat").read_text())
            self._task = asyncio.ensure_future(self._follow(settings))

    async def close(self) -> None:
        self._settings = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _follow(self, settings: Settings) -> None:
        published = time.monotonic()
        while True:
            await asyncio.sleep(settings.aggregate)
            self._gather()
            if time.monotonic() - published >= settings.publish - settings.aggregate / 2:
                published = time.monotonic()
                await self._publish()

    def _gather(self) -> None:
        at = int(time.time() * 1000)
        busy, every = points.cpu_times(Path("/proc/stat").read_text())
        passed = max(1, every - self._ticks[1])
        cpu, self._ticks = 100.0 * (busy - self._ticks[0]) / passed, (busy, every)
        used = points.memory_used(Path("/proc/meminfo").read_text())
        self._gathered.append(points.system(at, cpu, used, sum(1 for _ in Path("/proc/self/fd").iterdir())))
        self._gathered.append(points.components(at, self._states()))
        self._gathered.extend(points.put(at, name, sums) for name, sums in self._sums.items())
        self._sums.clear()

    async def _publish(self) -> None:
        told = json.dumps(points.payload(list(self._gathered)), separators=(",", ":")).encode()
        try:
            await self._publish_above(self._topic, told)
        except (Unreachable, Declined) as problem:
            log.info("telemetry waits: %s", problem)
        else:
            self._gathered.clear()

    # ------------------------------------------------------------------------------------------------ of components

    def operations(self) -> Mapping[str, Handler]:
        return {"PutComponentMetric": self.put_component_metric}

    def put_component_metric(self, call: Call) -> Document:
        """Sums until the next point; AWS's nucleus takes them of AWS's own components only."""
        metrics = call.document.get("metrics")
        if not isinstance(metrics, list) or not metrics:
            raise invalid("metrics must be a list, and not empty")
        taken = [_metric(each) for each in metrics]
        for name, _, _ in taken:
            authorise(self._components, call, SERVICE, name)
        sums = self._sums[call.component]
        if len(sums.keys() | {(name, unit) for name, unit, _ in taken}) > MOST_METRICS:
            raise invalid(f"a component has at most {MOST_METRICS} metrics")
        for name, unit, value in taken:
            sums[name, unit] = sums.get((name, unit), 0.0) + value
        return {}


def _metric(given: Any) -> tuple[str, str, float]:
    """Raises Fault."""
    name, unit, value = (given.get(each) if isinstance(given, dict) else None for each in ("name", "unit", "value"))
    if not isinstance(name, str) or not _METRIC.fullmatch(name):
        raise invalid("the name of a metric is 1 to 256 of A-Z a-z 0-9 space . _ / -")
    if unit not in points.UNITS:
        raise invalid(f"the unit of {name} must be one of {', '.join(points.UNITS)}")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e300:
        raise invalid(f"the value of {name} must be a number, and not less than 0")
    return name, points.UNITS[unit], float(value)
