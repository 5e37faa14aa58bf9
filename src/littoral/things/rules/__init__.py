"""Topic rules: what an author may ask for, the actions, and the engine that runs them at least once."""

from littoral.things.rules.actions import LogSink, ObjectSink, Permits, RecordSink, SigV4, Sinks, TableSink
from littoral.things.rules.definition import CompiledRule, Metrics, RuleRecord
from littoral.things.rules.destinations import Destinations, Web
from littoral.things.rules.engine import RuleEngine
from littoral.things.rules.metricdata import MetricData

__all__ = [
    "CompiledRule",
    "Destinations",
    "LogSink",
    "MetricData",
    "Metrics",
    "ObjectSink",
    "Permits",
    "RecordSink",
    "RuleEngine",
    "RuleRecord",
    "SigV4",
    "Sinks",
    "TableSink",
    "Web",
]
