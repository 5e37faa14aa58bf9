"""Keys: their limit, and the range that a prefix spans in the order of UTF-8 bytes (SQLite's BINARY)."""

from __future__ import annotations

LIMIT = 1024
BEYOND = b""  # in SQLite every text is less than every blob


def check_key(key: str) -> None:
    """Raises ValueError where the key is not of 1 to 1024 UTF-8 bytes."""
    if not 1 <= len(key.encode()) <= LIMIT:
        raise ValueError("a key is 1 to 1024 bytes of UTF-8")


def ceiling(prefix: str) -> str | bytes:
    """The least value greater than every text that starts with ``prefix``."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return BEYOND
    following = ord(stem[-1]) + 1
    if following == 0xD800:  # surrogates are not characters
        following = 0xE000
    return stem[:-1] + chr(following)
