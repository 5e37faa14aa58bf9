"""Exports to a Kinesis data stream of the place above, by PutRecords.

All records of a message stream have one partition key, THING/STREAM, so they are in one shard and keep their order;
AWS's stream manager draws a key for each, which spreads them and loses the order between shards.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from littoral.core.streammanager.exports import Done
from littoral.core.streammanager.log import Kept
from littoral.core.streammanager.streams import MessageStream
from littoral.core.upward import Unreachable, Upward
from littoral.protocols.streammanager.definition import Export

LARGEST = 1024 * 1024  # bytes of a record, its key included
LONGEST_KEY = 256


class Kinesis:
    def __init__(self, upward: Upward, thing: str) -> None:
        self._upward = upward
        self._thing = thing

    async def send(self, stream: MessageStream, export: Export, batch: Sequence[Kept]) -> Done:
        key = f"{self._thing}/{stream.definition.name}"[:LONGEST_KEY]
        most = LARGEST - len(key)
        fitting = next((place for place, each in enumerate(batch) if len(each.payload) > most), len(batch))
        if fitting == 0:
            return Done(1, f"message {batch[0].sequence} is larger than a record may be, and was passed over")
        records = [{"Data": base64.b64encode(each.payload).decode(), "PartitionKey": key} for each in batch[:fitting]]
        answer = await self._upward.call("kinesis", "PutRecords", {"StreamName": export.target, "Records": records})
        results = answer.get("Records") or []
        taken = next((place for place, each in enumerate(results) if "ErrorCode" in each), len(results))
        if taken == 0:
            raise Unreachable(f"no record was taken: {results[0].get('ErrorMessage') if results else 'no answer'}")
        return Done(taken)
