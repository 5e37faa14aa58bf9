"""What ``/metrics`` says of each capability."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from littoral.functions.tally import BUCKETS, Tally
from littoral.net.crowd import Crowd
from littoral.protocols.shield import Shield
from littoral.site.metrics import Distribution, Metrics, Reading
from littoral.things.facade import Things

if TYPE_CHECKING:  # a core has no edge, and loads none
    from littoral.edge.pipeline import Pipeline
    from littoral.edge.realtime.delivery import RealtimeLogs
    from littoral.edge.traffic import Traffic
    from littoral.site.front.crossing import Crossing

MOST_DISTRIBUTIONS = 500
MOST_VERSIONS = 500  # of functions with readings of their own: a scrape stays bounded
COUNTERS = (
    ("invocations", "Invocations that ran", "requests"),
    ("errors", "Invocations that ended in an error, a timeout or an exit", "errors"),
    ("timeouts", "Invocations that ran out of time", "timeouts"),
    ("throttles", "Invocations that were refused", "throttles"),
    ("cold_starts", "Invocations that an instance was started for", "cold"),
    ("init_seconds", "Time in init phases", "init_seconds"),
    ("billed_milliseconds", "Billed time", "billed_ms"),
    ("billed_megabyte_milliseconds", "Billed time by MemorySize", "billed_mb_ms"),
)


def function_readings(stats: Mapping[str, Any]) -> Iterable[Reading]:
    for start in ("cold", "warm"):
        meaning = "Invocations by whether an instance had to be started"
        yield Reading("littoral_function_starts_total", meaning, stats[start], {"start": start})


def version_readings(tallies: Sequence[Tally], running: Mapping[str, int]) -> Iterable[Reading | Distribution]:
    """Of each function and version: at most MOST_VERSIONS of them, all others together as "other"."""
    for tally in _bounded(tallies):
        labels = {"function": tally.function, "version": tally.version}
        for name, meaning, attribute in COUNTERS:
            yield Reading(f"littoral_function_{name}_total", meaning, getattr(tally, attribute), labels)
        buckets = list(zip((*BUCKETS, math.inf), tally.buckets, strict=True))
        meaning = "Time in the handler, by function"
        yield Distribution("littoral_function_duration_seconds", meaning, buckets, tally.seconds, labels)
        most = "Most memory that one instance used"
        yield Reading("littoral_function_memory_used_bytes", most, tally.memory_kib * 1024, labels)
        size = tally.memory_size * 1024 * 1024
        yield Reading("littoral_function_memory_size_bytes", "MemorySize at the latest invocation", size, labels)
    functions = sorted({tally.function for tally in tallies})
    for function in functions[:MOST_VERSIONS]:
        meaning = "Invocations under way"
        yield Reading("littoral_function_concurrent", meaning, running.get(function, 0), {"function": function})


def _bounded(tallies: Sequence[Tally]) -> Iterator[Tally]:
    """In the order in which they were first invoked, so that what has a name of its own keeps it."""
    other = Tally("other", "")
    yield from tallies[:MOST_VERSIONS]
    for tally in tallies[MOST_VERSIONS:]:
        for name in ("requests", "errors", "timeouts", "throttles", "cold", "billed_ms", "billed_mb_ms", "seconds"):
            setattr(other, name, getattr(other, name) + getattr(tally, name))
        other.init_seconds += tally.init_seconds
        other.memory_kib = max(other.memory_kib, tally.memory_kib)
        other.memory_size = max(other.memory_size, tally.memory_size)
        other.buckets = [ours + theirs for ours, theirs in zip(other.buckets, tally.buckets, strict=True)]
    if len(tallies) > MOST_VERSIONS:
        yield other


def things_readings(things: Things) -> Iterable[Reading]:
    stats = things.broker.stats()
    counters = {
        "received": "Publications taken",
        "sent": "Publications given to subscribers, or kept for them",
        "dropped": "Publications dropped for slow consumers",
    }
    for name, meaning in counters.items():
        yield Reading(f"littoral_mqtt_{name}_total", meaning, stats[name])
    for name in ("connections", "sessions", "subscriptions", "retained", "queued"):
        yield Reading(f"littoral_mqtt_{name}", f"MQTT {name} at this moment", stats[name])
    yield from rule_readings(things)


def rule_readings(things: Things) -> Iterable[Reading]:
    """AWS IoT's rule metrics, by rule; and what cloudwatchMetric actions measured."""
    for (action, reason), count in things.refusals.counts.items():
        labels = {"action": action, "reason": reason}
        yield Reading("littoral_iot_refused_total", "What devices were refused, and why", count, labels)
    for (authorizer, result), count in things.authorizers.results.items():
        labels = {"authorizer": authorizer, "result": result}
        yield Reading("littoral_iot_authorizer_answers_total", "Who an authorizer let in, or why not", count, labels)
    for rule, metrics in things.metrics().items():
        for what in ("evaluated", "matched", "success", "failure", "retries", "throttled", "parse_errors"):
            value = getattr(metrics, what)
            yield Reading("littoral_rule_messages_total", "Messages by rule", value, {"rule": rule, "result": what})
        for (action, result), count in metrics.actions.items():
            labels = {"rule": rule, "action": action, "result": result}
            yield Reading("littoral_rule_actions_total", "Actions of rules by kind and outcome", count, labels)
    missed = things.rules_not_found
    yield Reading("littoral_rule_not_found_total", "Basic Ingest for a rule that is not there", missed)
    for (namespace, name, unit), found in things.metric_data.metrics.items():
        labels = {"namespace": namespace, "metric": name, "unit": unit}
        yield Reading("littoral_metric_samples_total", "Samples of cloudwatchMetric actions", found.samples, labels)
        for statistic in ("total", "least", "most", "latest"):
            meaning = "Statistics of cloudwatchMetric actions since the start"
            yield Reading("littoral_metric", meaning, getattr(found, statistic), {**labels, "statistic": statistic})


def edge_readings(pipeline: Pipeline) -> Iterable[Reading]:
    for result, count in pipeline.results.items():
        yield Reading("littoral_edge_requests_total", "Viewer requests by result", count, {"result": result})
    yield Reading("littoral_edge_origin_requests_total", "Requests to origins", pipeline.fetching.origin_requests)
    yield Reading("littoral_edge_shield_hits_total", "Answers that the origin's shield had", pipeline.tier.hits)
    held = (
        ("memory", pipeline.cache.bytes, len(pipeline.cache)),
        ("disk", pipeline.cache.disk.bytes, len(pipeline.cache.disk)),
    )
    for where, bytes_held, objects in held:
        yield Reading("littoral_edge_cache_bytes", "Bytes held in the cache", bytes_held, {"in": where})
        yield Reading("littoral_edge_cache_objects", "Objects held in the cache", objects, {"in": where})
    for identifier, traffic in list(pipeline.traffic.items())[:MOST_DISTRIBUTIONS]:
        yield from distribution_readings(traffic, {"distribution": identifier, "location": pipeline.pop})


def distribution_readings(traffic: Traffic, where: Mapping[str, str]) -> Iterable[Reading]:
    """CloudFront's metrics of a distribution, at one location."""
    name = "littoral_distribution"
    for result, count in traffic.requests.items():
        yield Reading(f"{name}_requests_total", "Viewer requests by result", count, {**where, "result": result})
    for status, count in traffic.errors.items():
        yield Reading(f"{name}_errors_total", "Answers of 400 and more", count, {**where, "status": status})
    for code, count in traffic.failures.items():
        yield Reading(f"{name}_failures_total", "The same by status code", count, {**where, "code": str(code)})
    yield Reading(f"{name}_error_ratio", "Errors of all requests since the start", traffic.error_ratio, where)
    yield Reading(f"{name}_bytes_total", "Bytes of bodies sent to viewers", traffic.bytes, where)
    yield Reading(f"{name}_uploaded_bytes_total", "Bytes of bodies that viewers sent", traffic.uploaded, where)
    yield Reading(f"{name}_hit_ratio", "Hits of all requests since the start", traffic.hit_ratio, where)
    yield Reading(f"{name}_origin_requests_total", "Origin requests that were answered", traffic.origin_requests, where)
    meaning = "Time until origins' responses began; divided by their number the origin latency"
    yield Reading(f"{name}_origin_seconds_total", meaning, traffic.origin_seconds, where)


def realtime_readings(logs: RealtimeLogs) -> Iterable[Reading]:
    counted = (("delivered", logs.delivered), ("dropped", logs.dropped))
    for result, count in counted:
        yield Reading("littoral_edge_realtime_records_total", "Real-time log records", count, {"result": result})


def shield_readings(shield: Shield) -> Iterable[Reading]:
    for reason, count in shield.refused.items():
        meaning = "Connections and requests refused to clients that ask too much"
        yield Reading("littoral_shield_refused_total", meaning, count, {"reason": reason})
    yield Reading("littoral_shield_price", "What a request costs: 1 while the place keeps up", shield.price)
    yield Reading("littoral_shield_clients", "Clients with a connection to the edge", shield.clients)


def crossing_readings(crossing: Crossing) -> Iterable[Reading]:
    yield from listener_readings("edge-tls", crossing.crowd)
    yield Reading("littoral_front_late_seconds", "What a small request to the front took last", crossing.late)
    yield Reading("littoral_front_price", "What the front's time counts: 1 while it keeps up", crossing.turnstile.price)
    yield Reading("littoral_front_waiting", "Connections that wait for their turn at the front", crossing.waiting)


def listener_readings(name: str, service: Crowd) -> Iterable[Reading]:
    yield Reading("littoral_listener_connections", "Connections open", len(service), {"listener": name})
    for reason, count in service.refusals.items():
        labels = {"listener": name, "reason": reason}
        yield Reading("littoral_listener_refused_total", "Connections ended before their time", count, labels)


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
