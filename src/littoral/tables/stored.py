"""Items as they lie in the index: JSON text; bytes where binary values are in it, whose base64 is to be undone."""

from __future__ import annotations

import base64
import json
from typing import Any

from littoral.protocols.dynamodb.values import Item

_plain = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def dump(item: Item) -> str | bytes:
    try:
        return _plain.encode(item)
    except TypeError:  # there are bytes in it
        return json.dumps(item, separators=(",", ":"), ensure_ascii=False, default=_base64).encode()


def load(stored: str | bytes) -> Item:
    found: Item = json.loads(stored) if isinstance(stored, str) else json.loads(stored, object_hook=_binary)
    return found


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _binary(value: dict[str, Any]) -> dict[str, Any]:
    """Called for every object, inner ones first: attribute values, maps of them, and the item itself."""
    if len(value) == 1:
        ((name, given),) = value.items()
        if name == "B" and isinstance(given, str):
            return {"B": base64.b64decode(given)}
        if name == "BS" and isinstance(given, list):
            return {"BS": [base64.b64decode(each) for each in given]}
    return value
