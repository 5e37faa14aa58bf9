"""What a table is: its key, its indexes, its stream. Frozen facts, and their JSON as it is stored."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from littoral.protocols.dynamodb.keys import Attribute, Schema

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Throughput:
    """Of a PROVISIONED table; kept and shown, not enforced."""

    read: int = 0
    write: int = 0


@dataclass(frozen=True, slots=True)
class SecondaryIndex:
    id: int  # of its entries
    name: str
    schema: Schema
    local: bool
    projection: str = "ALL"  # ALL, KEYS_ONLY, INCLUDE
    included: tuple[str, ...] = ()
    throughput: Throughput = Throughput()

    def projected(self, table: Schema) -> tuple[str, ...] | None:
        """The attributes that it has; None for all."""
        if self.projection == "ALL":
            return None
        return tuple(dict.fromkeys((*table.names, *self.schema.names, *self.included)))


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of the table's changes. ``label`` tells it from its predecessors; ``ended``: no more records come."""

    label: str
    view: str
    began: float
    log: int  # the stream of the store that its records are in
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    id: int
    name: str
    uid: str
    created: float
    schema: Schema
    types: dict[str, str]  # AttributeDefinitions
    indexes: tuple[SecondaryIndex, ...] = ()
    billing: str = "PROVISIONED"
    billed_since: float | None = None  # on demand
    throughput: Throughput = Throughput()
    stream: Stream | None = None  # the one that changes go to
    streams: tuple[Stream, ...] = ()  # those that ended, while they can still be read
    ttl: str | None = None  # the attribute
    protected: bool = False
    table_class: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    revision: int = 0

    def index(self, name: str) -> SecondaryIndex | None:
        return next((each for each in self.indexes if each.name == name), None)

    def changed(self, **changes: Any) -> Self:
        return replace(self, **changes)

    def document(self) -> str:
        return json.dumps({name: value for name, value in asdict(self).items() if name not in {"id", "revision"}})

    @classmethod
    def load(cls, number: int, revision: int, text: str) -> Self:
        given = json.loads(text)
        given["schema"] = _schema(given["schema"])
        given["indexes"] = tuple(_index(each) for each in given["indexes"])
        given["throughput"] = Throughput(**given["throughput"])
        given["stream"] = Stream(**given["stream"]) if given["stream"] else None
        given["streams"] = tuple(Stream(**each) for each in given["streams"])
        return cls(id=number, revision=revision, **given)


def _schema(given: Document) -> Schema:
    return Schema(Attribute(**given["hash"]), Attribute(**given["range"]) if given["range"] else None)


def _index(given: Document) -> SecondaryIndex:
    return SecondaryIndex(
        **{
            **given,
            "schema": _schema(given["schema"]),
            "included": tuple(given["included"]),
            "throughput": Throughput(**given["throughput"]),
        }
    )
