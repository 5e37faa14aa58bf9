"""What a rule can do with a message. ``parse_action`` reads a definition; each kind is a file.

An action that is not here is refused when the rule is made, by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from littoral.protocols.iotsql import SqlError
from littoral.protocols.iotsql.syntax import Definition
from littoral.things.rules.actions import http, invoking, objects, republish, streams, tables, watching
from littoral.things.rules.actions.base import (
    Action,
    ActionFailed,
    BadAction,
    LogSink,
    ObjectSink,
    Parameters,
    Permits,
    RecordSink,
    SigV4,
    Sinks,
    TableSink,
    WebSink,
    failed,
)
from littoral.things.rules.actions.http import HttpAction

__all__ = [
    "Action",
    "ActionFailed",
    "BadAction",
    "HttpAction",
    "LogSink",
    "ObjectSink",
    "Permits",
    "RecordSink",
    "SigV4",
    "Sinks",
    "TableSink",
    "WebSink",
    "failed",
    "parse_action",
]

_READERS: Final[Mapping[str, Callable[[Parameters], Action]]] = {
    "cloudwatchLogs": watching.read_logs,
    "cloudwatchMetric": watching.read_metric,
    "dynamoDB": tables.read,
    "dynamoDBv2": tables.read_v2,
    "firehose": streams.read_firehose,
    "http": http.read,
    "kinesis": streams.read_kinesis,
    "lambda": invoking.read,
    "republish": republish.read,
    "s3": objects.read,
    "sns": streams.read_sns,
    "sqs": streams.read_sqs,
}
_REFUSED: Final = {
    "cloudwatchAlarm": "CloudWatch alarms",
    "elasticsearch": "OpenSearch domains",
    "influxDB": "InfluxDB destinations",
    "iotAnalytics": "IoT Analytics channels",
    "iotEvents": "IoT Events inputs",
    "iotSiteWise": "IoT SiteWise assets",
    "kafka": "Kafka destinations",
    "location": "Location trackers",
    "openSearch": "OpenSearch domains",
    "salesforce": "Salesforce inputs",
    "stepFunctions": "Step Functions state machines",
    "timestream": "Timestream tables",
}


def parse_action(definition: Mapping[str, Any], variables: Mapping[str, Definition]) -> Action:
    """``variables`` are those that the statement's SET defines. Raises BadAction."""
    if len(definition) != 1:
        raise BadAction("An action names exactly one destination")
    ((kind, parameters),) = definition.items()
    read = _READERS.get(kind)
    if read is None:
        there, none = ", ".join(sorted(_READERS)), _REFUSED.get(kind, kind)
        raise BadAction(f"Action {kind!r} is not available: this place has no {none}; there are: {there}")
    try:
        return read(Parameters(kind, parameters, variables))
    except SqlError as error:
        raise BadAction(f"A substitution template of action {kind!r} is not valid: {error}") from None
