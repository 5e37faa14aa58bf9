"""What things are given by the place that they are in: functions, buckets, streams, logs, the web."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from littoral.aws.invoke import Invoker
from littoral.store.contract import Records, Streams
from littoral.things.answers import Secrets
from littoral.things.jobs import JobObjects
from littoral.things.reserved import Telemetry
from littoral.things.rules import LogSink, ObjectSink, Permits, RecordSink, TableSink, Web


class Stores(Protocol):
    """What of a store this capability uses."""

    def records(self, bucket: str) -> Records: ...

    @property
    def streams(self) -> Streams: ...


@dataclass(frozen=True, slots=True)
class Outside:
    """What is None is not there: rules that want it fail to their error action, and so they do where ``permits``, asked
    with a function and an ARN of IoT, says no."""

    invoker: Invoker | None = None
    objects: ObjectSink | None = None
    job_objects: JobObjects | None = None
    permits: Permits | None = None
    data_streams: RecordSink | None = None
    logs: LogSink | None = None
    web: Web | None = None
    tables: TableSink | None = None
    secrets: Secrets | None = None
    telemetry: Telemetry | None = None  # of cores
