"""JSON as a table keeps it, and back: DynamoDB's typed attribute values.

Numbers keep their digits on the way in; on the way back they are JSON numbers again, sets arrays and binary base64.
"""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

Item = dict[str, dict[str, Any]]


def parsed(payload: bytes) -> Any:
    """JSON with the digits of its numbers. Raises ValueError."""
    return json.loads(payload, parse_float=Decimal)


def attribute(value: Any) -> dict[str, Any]:
    """The attribute value of a JSON value, of a Decimal, or of bytes."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bytes):
        return {"B": value}
    if isinstance(value, dict):
        return {"M": {name: attribute(child) for name, child in value.items()}}
    if isinstance(value, list):
        return {"L": [attribute(child) for child in value]}
    return {"N": str(value)}


def plain(found: dict[str, Any]) -> Any:
    ((kind, value),) = found.items()
    match kind:
        case "NULL":
            return None
        case "N":
            return _number(value)
        case "B":
            return base64.b64encode(value).decode()
        case "M":
            return {name: plain(child) for name, child in value.items()}
        case "L":
            return [plain(child) for child in value]
        case "NS":
            return [_number(each) for each in value]
        case "BS":
            return [base64.b64encode(each).decode() for each in value]
    return value


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
