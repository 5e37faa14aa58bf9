"""How a request names its stream: by StreamName, by StreamARN, or both, which must then agree."""

from __future__ import annotations

import re
from dataclasses import dataclass

from littoral.streams.catalog import Catalog, Stream
from littoral.streams.errors import invalid, not_found
from littoral.streams.journal import Journal

_ARN = re.compile(r"arn:aws[a-z-]*:kinesis:([a-z0-9-]+):(\d{12}):stream/([a-zA-Z0-9_.-]{1,128})")


@dataclass(slots=True)
class Parts:
    """What every operation works with."""

    region: str
    account: str
    catalog: Catalog
    journal: Journal

    def arn(self, name: str) -> str:
        return f"arn:aws:kinesis:{self.region}:{self.account}:stream/{name}"

    def is_arn(self, text: str) -> bool:
        """Whether this is the ARN of a stream that could be here."""
        found = _ARN.fullmatch(text)
        return found is not None and (found[1], found[2]) == (self.region, self.account)

    def by_arn(self, arn: str) -> Stream:
        """Raises InvalidArgumentException, ResourceNotFoundException."""
        found = _ARN.fullmatch(arn)
        if found is None:
            raise invalid(f"Invalid StreamARN {arn[:200]}")
        if (found[1], found[2]) != (self.region, self.account):
            raise not_found(f"Stream {arn} not found.")
        return self.catalog.get(found[3], self.account)

    def stream(self, name: str | None, arn: str | None) -> Stream:
        """Raises InvalidArgumentException, ResourceNotFoundException."""
        if name is None and arn is None:
            raise invalid("Either StreamName or StreamARN must be provided.")
        if arn is None:
            return self.catalog.get(name or "", self.account)
        found = self.by_arn(arn)
        if name is not None and name != found.name:
            raise invalid("StreamName and StreamARN do not name the same stream.")
        return found


class Operations:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
