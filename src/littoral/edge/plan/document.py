"""How CloudFront's API writes lists in its documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]


def items(config: Document, name: str) -> list[Any]:
    """The Items of one of CloudFront's {Quantity, Items} lists."""
    return list((config.get(name) or {}).get("Items") or ())
