"""Key schemas, and keys as bytes whose order is DynamoDB's: text by UTF-8, numbers by value, binary as it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.numbers import ordered
from littoral.protocols.dynamodb.values import Item, Value, kind

LONGEST_HASH, LONGEST_RANGE = 2048, 1024  # bytes
EMPTY = {"S": "string", "B": "binary"}  # what a key cannot be, in words
BUCKET = 8  # bytes of a hash key's digest that come first: scans are in their order, and segments are spans of them
Key = tuple[bytes, bytes]  # of the partition, of the item in it


@dataclass(frozen=True, slots=True)
class Attribute:
    name: str
    type: str  # S, N or B


@dataclass(frozen=True, slots=True)
class Schema:
    """The key of a table or an index."""

    hash: Attribute
    range: Attribute | None

    @property
    def names(self) -> tuple[str, ...]:
        return (self.hash.name,) if self.range is None else (self.hash.name, self.range.name)

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        return (self.hash,) if self.range is None else (self.hash, self.range)

    def key(self, given: Item) -> Key:
        """Of a key or an item that was checked."""
        tail = b"" if self.range is None else encoded(given[self.range.name])
        return partition(given[self.hash.name]), tail

    def of(self, item: Item) -> Item:
        return {name: item[name] for name in self.names}


def encoded(value: Value) -> bytes:
    name = kind(value)
    if name == "S":
        return str(value["S"]).encode()
    return ordered(value["N"]) if name == "N" else bytes(value["B"])


def partition(value: Value) -> bytes:
    text = encoded(value)
    return hashlib.blake2b(text, digest_size=BUCKET).digest() + text


def segment(index: int, total: int) -> tuple[bytes, bytes | None]:
    """Partitions of a scan's segment: from the first until before the second."""
    whole = 256**BUCKET
    last = None if index + 1 == total else (whole * (index + 1) // total).to_bytes(BUCKET, "big")
    return (whole * index // total).to_bytes(BUCKET, "big"), last


def check_value(attribute: Attribute, value: Value, *, longest: int) -> None:
    """Of a key attribute. Raises Invalid."""
    text = value.get(attribute.type)
    if text is None:
        raise Invalid(
            f"One or more parameter values were invalid: Type mismatch for key {attribute.name} "
            f"expected: {attribute.type} actual: {kind(value)}"
        )
    if not text:
        raise Invalid(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
            f"empty {EMPTY[attribute.type]} value. Key: {attribute.name}"
        )
    if attribute.type != "N" and len(encoded(value)) > longest:
        which = "hashkey" if longest == LONGEST_HASH else "rangekey"
        raise Invalid(
            f"One or more parameter values were invalid: Size of {which} has exceeded the maximum size limit of"
            f"{longest} bytes"
        )
