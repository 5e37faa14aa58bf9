"""Bytes encrypted at rest by a key of this place: AES-256-GCM, each with a nonce of its own.

Owns the key's file (32 bytes, for its owner only). What is sealed for one place cannot be opened at another: ``about``
is authenticated with it, so that two sealed values cannot be exchanged. A lost key file is what it protects, lost.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from littoral.store.durable import write_durably
from littoral.store.frames import KEY_BYTES, CannotOpen

__all__ = ["KEY_BYTES", "CannotOpen", "Seal"]
NONCE: Final = 12  # bytes
SEALED: Final = NONCE + 16  # bytes that a sealed value has more


class Seal:
    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def load_or_create(cls, file: Path) -> Self:
        """The key in that file, which is made, durably, where there is none. Raises OSError, CannotOpen."""
        if not file.exists():
            write_durably(file, AESGCM.generate_key(KEY_BYTES * 8))
        key = file.read_bytes()
        if len(key) != KEY_BYTES:
            raise CannotOpen(f"{file} is no key: it has {len(key)} bytes")
        return cls(key)

    def seal(self, data: bytes, about: str) -> bytes:
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, data, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """Raises CannotOpen."""
        try:
            return self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], about.encode())
        except (InvalidTag, ValueError) as problem:
            raise CannotOpen(f"{about} cannot be opened with this place's key") from problem
