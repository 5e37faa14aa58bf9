"""Shards: their names, hash ranges, sequence numbers and iterators. Pure.

A partition key goes to the shard whose range holds its MD5 hash, read as a number of 128 bits (Kinesis Data Streams
API reference, PutRecord). A sequence number is 56 decimal digits: ``49``, the second in which the stream was made, the
store's sequence, the shard. So the numbers of a shard increase, and those of a deleted stream of the same name are
known as strangers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from functools import lru_cache

HASHES = 2**128
SHARD_ID = re.compile(r"shardId-(\d{12})")
_NUMBER = re.compile(r"49(\d{10})(\d{32})(\d{12})")


def shard_id(index: int) -> str:
    return f"shardId-{index:012d}"


def shard_index(name: str) -> int | None:
    found = SHARD_ID.fullmatch(name)
    return int(found[1]) if found else None


def hash_range(index: int, count: int) -> tuple[int, int]:
    """First and last hash key of a shard; the shards of a stream share all hashes evenly."""
    return HASHES * index // count, HASHES * (index + 1) // count - 1


@lru_cache(maxsize=4096)
def hash_of(partition_key: str) -> int:
    return int.from_bytes(hashlib.md5(partition_key.encode(), usedforsecurity=False).digest(), "big")


def shard_of(hash_key: int, count: int) -> int:
    """The shard whose range holds the hash key."""
    index = hash_key * count // HASHES
    first, last = hash_range(index, count)
    return index + (hash_key > last) - (hash_key < first)


def sequence_number(created: float, sequence: int, shard: int) -> str:
    return f"49{int(created):010d}{sequence:032d}{shard:012d}"


def sequence_of(number: str, created: float, shard: int) -> int | None:
    """The store's sequence; None for a number that this shard of this stream never gave."""
    found = _NUMBER.fullmatch(number)
    if found is None or int(found[1]) != int(created) or int(found[3]) != shard:
        return None
    return int(found[2])


@dataclass(frozen=True, slots=True)
class Iterator:
    """A place in a shard. ``stream`` is the stream's uid: the iterator of a deleted stream finds nothing."""

    name: str
    stream: str
    shard: int
    after: int  # the store's sequence before the next record
    made: float  # Unix seconds; an iterator serves for five minutes

    def text(self) -> str:
        return base64.b64encode(json.dumps(asdict(self), separators=(",", ":")).encode()).decode()


def iterator_from(text: str) -> Iterator | None:
    """None for what is no iterator."""
    try:
        given = json.loads(base64.b64decode(text, validate=True))
        found = Iterator(**given)
        sound = isinstance(found.name, str) and isinstance(found.stream, str) and isinstance(found.made, int | float)
        return found if sound and _count(found.shard) and _count(found.after) else None
    except (ValueError, binascii.Error, TypeError, RecursionError):
        return None


def _count(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < 2**62
