"""What ``/metrics`` says of each capability."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from littoral.edge.pipeline import Pipeline
from littoral.site.metrics import Metrics, Reading
from littoral.things.facade import Things


def function_readings(stats: Mapping[str, Any]) -> Iterable[Reading]:
    for start in ("cold", "warm"):
        meaning = "Invocations by whether an instance had to be started"
        yield Reading("littoral_function_starts_total", meaning, stats[start], {"start": start})
    for what in ("errors", "timeouts", "throttles"):
        yield Reading(f"littoral_function_{what}_total", f"Invocations that ended in {what}", stats[what])


def things_readings(things: Things) -> Iterable[Reading]:
    stats = things.broker.stats()
    counters = {"received": "Publications taken", "dropped": "Publications dropped for slow consumers"}
    for name, meaning in counters.items():
        yield Reading(f"littoral_mqtt_{name}_total", meaning, stats[name])
    for name in ("connections", "sessions", "subscriptions", "retained", "queued"):
        yield Reading(f"littoral_mqtt_{name}", f"MQTT {name} at this moment", stats[name])
    for rule, metrics in things.metrics().items():
        for what in ("matched", "success", "failure"):
            value = getattr(metrics, what)
            yield Reading("littoral_rule_messages_total", "Messages by rule", value, {"rule": rule, "result": what})


def edge_readings(pipeline: Pipeline) -> Iterable[Reading]:
    for result, count in pipeline.results.items():
        yield Reading("littoral_edge_requests_total", "Viewer requests by result", count, {"result": result})
    yield Reading("littoral_edge_origin_requests_total", "Requests to origins", pipeline.fetching.origin_requests)
    yield Reading("littoral_edge_cache_bytes", "Bytes held in the cache", pipeline.cache.bytes)
    yield Reading("littoral_edge_cache_objects", "Objects held in the cache", len(pipeline.cache))


def gateway_observer(metrics: Metrics) -> Callable[[str, str, int, float], None]:
    """Counts API calls by service, operation and status class."""
    calls: Counter[tuple[str, str, str]] = Counter()

    def observe(service: str, operation: str, status: int, _seconds: float) -> None:
        calls[service, operation, f"{status // 100}xx"] += 1

    def read() -> Iterable[Reading]:
        for (service, operation, status), count in calls.items():
            labels = {"service": service, "operation": operation, "status": status}
            yield Reading("littoral_api_calls_total", "API calls", count, labels)

    metrics.add(read)
    return observe
