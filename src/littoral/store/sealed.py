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

from littoral.store.contract import StoreError
from littoral.store.embedded.blobs import fsync_folder

KEY_BYTES: Final = 32
NONCE: Final = 12  # bytes


class CannotOpen(StoreError):
    """It was sealed by another key, for something else, or is not whole."""


class Seal:
    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def load_or_create(cls, file: Path) -> Self:
        """The key in that file, which is made, durably, where there is none. Raises OSError, CannotOpen."""
        if not file.exists():
            _write_durably(file, AESGCM.generate_key(KEY_BYTES * 8))
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


def _write_durably(file: Path, key: bytes) -> None:
    """Whole or not at all: a half key would be taken for one."""
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, key)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.rename(file)
    fsync_folder(file.parent)
