"""JSON documents over Records, for the control planes: a dict in, the same dict out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from littoral.store.contract import Records

Document = dict[str, Any]
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Documents:
    """The documents under one prefix of a bucket of records; keys are given without the prefix."""

    def __init__(self, records: Records, prefix: str = "") -> None:
        self._records = records
        self._prefix = prefix

    async def get(self, key: str) -> Document | None:
        record = await self._records.get(self._prefix + key)
        return None if record is None else _loads(record.value)

    async def put(self, key: str, document: Document, *, expect: int | None = None) -> int:
        """Raises Conflict as Records.put does."""
        value = _encode(document).encode()
        return await self._records.put(self._prefix + key, value, expect=expect)

    async def put_all(self, documents: Mapping[str, Document]) -> list[int]:
        """All of them or none; how many bytes each takes."""
        values = {self._prefix + key: _encode(document).encode() for key, document in documents.items()}
        await self._records.put_all(values)
        return list(map(len, values.values()))

    async def delete(self, key: str, *, expect: int | None = None) -> bool:
        return await self._records.delete(self._prefix + key, expect=expect)

    async def scan(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> list[tuple[str, Document]]:
        """In key order; ``after`` is a key as this class returns it."""
        start = self._prefix + after if after else ""
        found = await self._records.scan(self._prefix + prefix, after=start, limit=limit)
        return [(record.key[len(self._prefix) :], _loads(record.value)) for record in found]


def _loads(value: bytes) -> Document:
    loaded: Document = json.loads(value)
    return loaded
