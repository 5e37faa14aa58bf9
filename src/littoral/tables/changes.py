"""Change streams: what is told of a write, under which number, and who may still read it. Records are JSON.

A stream is one shard: its records are in the order of the writes to the table. One can be read for a day.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

import apsw

from littoral.protocols.dynamodb.values import Item, equal, item_size
from littoral.store.contract import Message, Outgoing, Retention
from littoral.store.embedded import log
from littoral.tables import stored
from littoral.tables.table import Stream, Table

DAY = 86400.0
RETENTION = Retention(max_age=DAY, keep="all")
FIRST = 100_000_000_000_000_000_000  # sequence numbers have at least 21 digits
VIEWS = ("KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES")


def begin(connection: apsw.Connection, uid: str, label: str, view: str, now: float) -> Stream:
    return Stream(label, view, now, log.create(connection, f"{uid}/{label}", RETENTION))


def append(
    connection: apsw.Connection,
    table: Table,
    stream: Stream,
    old: Item | None,
    new: Item | None,
    now: float,
    *,
    expired: bool,
) -> None:
    """The store's log keeps at most what retention says. A write that changed nothing is not told."""
    if old is not None and new is not None and equal({"M": old}, {"M": new}):
        return
    either = new if new is not None else old
    assert either is not None
    keys = table.schema.of(either)
    told: dict[str, Any] = {"ApproximateCreationDateTime": int(now), "Keys": keys}
    if stream.view in {"NEW_IMAGE", "NEW_AND_OLD_IMAGES"} and new is not None:
        told["NewImage"] = new
    if stream.view in {"OLD_IMAGE", "NEW_AND_OLD_IMAGES"} and old is not None:
        told["OldImage"] = old
    told["SizeBytes"] = sum(item_size(told[name]) for name in ("Keys", "NewImage", "OldImage") if name in told)
    told["StreamViewType"] = stream.view
    name = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
    record: dict[str, Any] = {"eventID": secrets.token_hex(16), "eventName": name, "dynamodb": told}
    if expired:
        record["userIdentity"] = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    text = stored.dump(record)
    data = text.encode() if isinstance(text, str) else text
    log.append(connection, stream.log, [Outgoing(data)], now)


def number(sequence: int) -> str:
    return str(FIRST + sequence)


def sequence_of(text: str) -> int | None:
    return int(text) - FIRST if text.isdigit() and len(text) <= 40 and int(text) >= FIRST else None


def event(message: Message, region: str) -> dict[str, Any]:
    """As functions get it; binary values are base64."""
    record: dict[str, Any] = json.loads(message.data)
    record["dynamodb"]["SequenceNumber"] = number(message.sequence)
    return {
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": region,
        **record,
    }


def record(message: Message, region: str) -> dict[str, Any]:
    """As GetRecords gives it."""
    found = event(message, region)
    change = found["dynamodb"]
    for name in ("Keys", "NewImage", "OldImage"):
        if name in change:
            change[name] = stored.load(json.dumps(change[name]).encode())
    if "userIdentity" in found:
        identity = found["userIdentity"]
        found["userIdentity"] = {"Type": identity["type"], "PrincipalId": identity["principalId"]}
    return found
