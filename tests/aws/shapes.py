"""Values for any shape of a model, made from the model alone: one example with everything in it."""

from __future__ import annotations

import datetime
from typing import Any

from botocore.model import Shape

MOMENT = datetime.datetime(2026, 3, 5, 7, 8, 9, tzinfo=datetime.UTC)
AWKWARD = 'a<b>&"c" é'  # must survive XML, JSON and form encoding


def example(shape: Shape, depth: int = 0, name: str = "") -> Any:
    """A value of the shape with every member filled, down to a depth (models recurse)."""
    kind = shape.type_name
    if kind == "structure":
        if getattr(shape, "is_document_type", False):
            return {"free": ["form", 1]}
        return {
            member: example(inner, depth + 1, member)
            for member, inner in shape.members.items()
            if depth < 5 or member in shape.required_members or inner.type_name not in {"structure", "list", "map"}
        }
    if kind == "list":
        return [example(shape.member, depth + 1, name)] if depth < 7 else []
    if kind == "map":
        return {"key": example(shape.value, depth + 1, name)} if depth < 7 else {}
    return scalar(shape, name)


def scalar(shape: Shape, name: str) -> Any:
    kind = shape.type_name
    if kind in {"string", "character"}:
        enum = shape.metadata.get("enum")
        if enum:
            return enum[0]
        if shape.serialization.get("location") in {"uri", "header", "headers", "querystring"}:
            return f"plain-{name}"
        return AWKWARD
    if kind == "boolean":
        return True
    if kind in {"integer", "long"}:
        return max(7, int(shape.metadata.get("min", 7)))
    if kind in {"float", "double"}:
        return 1.5
    if kind == "timestamp":
        return MOMENT
    if kind == "blob":
        return b"\x00\xff bytes"
    raise AssertionError(kind)
