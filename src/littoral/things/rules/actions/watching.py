"""The ``cloudwatchLogs`` and ``cloudwatchMetric`` actions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from littoral.protocols.iotsql import Context, Selected, Template
from littoral.things.rules.actions.base import Action, ActionFailed, Parameters, Sinks, failed

PAST: Final = 14 * 24 * 3_600_000  # milliseconds; PutLogEvents takes no older event
AHEAD: Final = 2 * 3_600_000


@dataclass(frozen=True, slots=True)
class LogsAction:
    """The log stream has the name of the rule."""

    group: Template
    batch: bool
    kind: str = "CloudwatchLogsAction"

    def resource(self, context: Context) -> str:
        return self.group.evaluate(context)

    async def run(self, selected: Selected, context: Context, sinks: Sinks, rule: str) -> None:
        if sinks.logs is None:
            raise ActionFailed("This place keeps no logs", passing=False)
        events = _events(selected) if self.batch else [(context.timestamp, _text(selected.payload))]
        timely = [each for each in events if context.timestamp - PAST <= each[0] <= context.timestamp + AHEAD]
        try:
            if timely:
                await sinks.logs.put(self.resource(context), rule, timely)
        except Exception as error:
            raise failed(error) from error
        if len(timely) < len(events):
            late = len(events) - len(timely)
            raise ActionFailed(f"{late} log events are older than 14 days or over two hours ahead", passing=False)


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise ActionFailed(
            "A log event is text in UTF-8; encode a binary payload in the SELECT", passing=False
        ) from None


def _events(selected: Selected) -> list[tuple[int, str]]:
    """``[{"timestamp": milliseconds, "message": text}]``, in the order of their times."""
    found: Any = json.loads(selected.payload) if selected.is_json else None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ActionFailed("With batchMode the message is an array of objects", passing=False)
    events = [(each.get("timestamp"), each.get("message")) for each in found]
    if not all(type(at) is int and type(message) is str for at, message in events):
        raise ActionFailed("With batchMode each object has a number timestamp and a text message", passing=False)
    return sorted(events)


def read_logs(parameters: Parameters) -> Action:
    parameters.check({"roleArn", "logGroupName"}, {"batchMode"})
    return LogsAction(parameters.template("logGroupName"), bool(parameters.given.get("batchMode")))


@dataclass(frozen=True, slots=True)
class MetricAction:
    namespace: Template
    name: Template
    unit: Template
    value: Template
    timestamp: Template | None
    kind: str = "CloudwatchMetricAction"

    def resource(self, context: Context) -> str:
        return self.name.evaluate(context)

    async def run(self, selected: Selected, context: Context, sinks: Sinks, rule: str) -> None:
        now = context.timestamp / 1000
        at = now if self.timestamp is None else _number("metricTimestamp", self.timestamp.evaluate(context))
        value = _number("metricValue", self.value.evaluate(context))
        try:
            sinks.metrics.put(
                self.namespace.evaluate(context), self.resource(context), self.unit.evaluate(context), value, at, now
            )
        except Exception as error:
            raise failed(error) from error


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ActionFailed(f"cloudwatchMetric.{name} {text[:100]!r} is not a number", passing=False) from None


def read_metric(parameters: Parameters) -> Action:
    required = {"roleArn", "metricNamespace", "metricName", "metricUnit", "metricValue"}
    parameters.check(required, {"metricTimestamp"})
    return MetricAction(
        parameters.template("metricNamespace"),
        parameters.template("metricName"),
        parameters.template("metricUnit"),
        parameters.template("metricValue"),
        parameters.maybe("metricTimestamp"),
    )
