"""What every operation works with, and how a request names its table or its stream."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from littoral.aws.service import ServiceError
from littoral.protocols.dynamodb.errors import Invalid
from littoral.store.contract import Message
from littoral.tables.changes import DAY
from littoral.tables.errors import no_such_arn, no_such_table
from littoral.tables.index import Index
from littoral.tables.table import Stream, Table

NAME = re.compile(r"[a-zA-Z0-9_.-]{3,255}")
_STREAM = re.compile(r"(arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:\d{12}:table/([a-zA-Z0-9_.-]{3,255}))/stream/([0-9T:.-]+)")


@dataclass(slots=True)
class Parts:
    region: str
    account: str
    index: Index
    clock: Callable[[], float] = time.time

    def arn(self, name: str) -> str:
        return f"arn:aws:dynamodb:{self.region}:{self.account}:table/{name}"

    def stream_arn(self, table: Table, stream: Stream) -> str:
        return f"{self.arn(table.name)}/stream/{stream.label}"

    def name_of(self, given: str) -> str:
        """A table's name, or its ARN. Raises Invalid, ResourceNotFoundException."""
        prefix = self.arn("")
        if given.startswith("arn:"):
            if not given.startswith(prefix):
                raise no_such_table()
            given = given.removeprefix(prefix)
        if not NAME.fullmatch(given):
            raise Invalid(
                f"Invalid table/index name.  Table/index names must be between 3 and 255 characters long, and may "
                f"contain only the characters a-z, A-Z, 0-9, '_', '-', and '.': {given[:300]}"
                if 0 < len(given) < 3 or len(given) > 255
                else f"1 validation error detected: Value '{given[:300]}' at 'tableName' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
            )
        return given

    def table(self, given: str) -> Table:
        """Raises Invalid, ResourceNotFoundException."""
        return self.index.table(self.name_of(given))

    def by_arn(self, arn: str) -> Table:
        """Of the tagging operations. Raises ResourceNotFoundException, AccessDeniedException."""
        prefix = self.arn("")
        if not arn.startswith(prefix):
            message = f"User is not authorized to perform this action on resource: {arn[:300]}"
            raise ServiceError("AccessDeniedException", message, status=400)
        name = arn.removeprefix(prefix)
        if not NAME.fullmatch(name):
            raise Invalid(f"Invalid TableArn: Invalid ResourceArn provided as input {arn[:300]}")
        found = self.index.find(name)
        if found is None:
            raise no_such_arn(arn)
        return found

    # ------------------------------------------------------------------------------------------ streams

    def stream(self, arn: str) -> tuple[Table, Stream]:
        """Raises Invalid, ResourceNotFoundException."""
        found = _STREAM.fullmatch(arn)
        if found is None:
            raise Invalid(f"Invalid StreamArn: {arn[:300]}")
        if found[1] == self.arn(found[2]):
            table = self.index.find(found[2])
            for stream in self.streams_of(table) if table is not None else ():
                if stream.label == found[3]:
                    assert table is not None
                    return table, stream
        message = f"Requested resource not found: Stream: {arn[:300]} not found"
        raise ServiceError("ResourceNotFoundException", message, status=400)

    def is_stream(self, arn: str) -> bool:
        """Whether this could name a stream."""
        return _STREAM.fullmatch(arn) is not None

    def streams_of(self, table: Table) -> list[Stream]:
        """Those that can be read."""
        oldest = self.clock() - DAY
        ended = [stream for stream in table.streams if (stream.ended or 0.0) > oldest]
        return [*ended, *((table.stream,) if table.stream is not None else ())]

    def shard(self, stream: Stream) -> str:
        """A stream has one shard."""
        return f"shardId-{int(stream.began * 1000):020d}-{stream.log:08x}"

    def records(self, stream: Stream, after: int, limit: int) -> list[Message]:
        """Those that are not expired."""
        oldest = self.clock() - DAY
        return [each for each in self.index.messages(stream.log, after, limit) if each.published_at >= oldest]


class Operations:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._index = parts.index
