"""The key of a place whose disk shows nothing, and the keys that are made of it.

Owns: how a key of a name is derived (HKDF-SHA256), so that one secret is enough and no two uses share a key. Knows
neither where the key comes from nor what a name is for.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from littoral.store.frames import KEY_BYTES


class StoreKey:
    def __init__(self, master: bytes) -> None:
        self._master = master

    def named(self, name: str) -> bytes:
        """32 bytes, always the same for a name."""
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"littoral store: {name}".encode()).derive(self._master)

    def __repr__(self) -> str:
        return "StoreKey()"  # it never reaches a log
