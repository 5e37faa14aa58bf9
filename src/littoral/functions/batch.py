"""A batch of a stream's records: what came of an attempt, which are done, and the record of those given up. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from littoral.aws.invoke import InvokeResult
from littoral.functions.names import LATEST, Home
from littoral.functions.sources import SourceMapping, SourceRecord
from littoral.functions.version import iso_time


@dataclass(slots=True)
class Part:
    """Records that go to the function together, and how often they failed."""

    records: Sequence[SourceRecord]
    failures: int = 0


@dataclass(slots=True)
class Outcome:
    """Of one attempt. ``done`` records from the front are worked off; None where the function did not run."""

    done: int | None
    request_id: str
    result: InvokeResult | None = None
    state: dict[str, Any] | None = None  # of the window


def failure_record(
    mapping: SourceMapping,
    home: Home,
    now: float,
    batch: tuple[str, str, Sequence[SourceRecord]],
    condition: str,
    attempts: int,
    outcome: Outcome,
) -> dict[str, Any]:
    """AWS's record of a batch that was given up ("Retain discarded records of a stream"). ``batch``: what the source
    calls the member about it, the shard, the records."""
    member, shard, records = batch
    record: dict[str, Any] = {
        "requestContext": {
            "requestId": outcome.request_id,
            "functionArn": home.arn(mapping.function, mapping.qualifier or LATEST),
            "condition": condition,
            "approximateInvokeCount": attempts,
        },
        "version": "1.0",
        "timestamp": iso_time(now),
        member: {
            "shardId": shard,
            "startSequenceNumber": records[0].sequence,
            "endSequenceNumber": records[-1].sequence,
            "approximateArrivalOfFirstRecord": iso_time(records[0].arrived),
            "approximateArrivalOfLastRecord": iso_time(records[-1].arrived),
            "batchSize": len(records),
            "streamArn": mapping.source,
        },
    }
    if outcome.result is not None:
        record["responseContext"] = {"statusCode": 200, "executedVersion": outcome.result.executed_version}
        if outcome.result.function_error is not None:
            record["responseContext"]["functionError"] = outcome.result.function_error
    return record


def reported(payload: bytes, records: Sequence[SourceRecord]) -> int:
    """How many records from the front are done, by the function's batchItemFailures. What is no proper report, or
    names a record that was not given, fails the whole batch, as at AWS."""
    answer = json.loads(payload)
    if answer is None or answer == {}:
        return len(records)
    failures = answer.get("batchItemFailures", []) if isinstance(answer, dict) else "none"
    if failures is None:
        return len(records)
    if not isinstance(failures, list):
        return 0
    places = {record.sequence: place for place, record in enumerate(records)}
    named = [str(each.get("itemIdentifier")) if isinstance(each, dict) else "" for each in failures]
    if not all(name in places for name in named):
        return 0
    return min((places[name] for name in named), default=len(records))
