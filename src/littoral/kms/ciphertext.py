"""What Encrypt answers: a head that names key and material, and AES-256-GCM of the plaintext. Pure but for chance.

    version (1 byte) | key id (16) | number of the material (4) | nonce (12) | ciphertext and tag

Head and encryption context are authenticated: a ciphertext cannot be passed off as another key's or context's.
"""

from __future__ import annotations

import json
import os
import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from littoral.kms.errors import invalid_ciphertext

VERSION: Final = 1
HEAD: Final = struct.Struct(">B16sI")
NONCE: Final = 12


@dataclass(frozen=True, slots=True)
class Head:
    key: str
    material: int


def encrypt(material: AESGCM, head: Head, plaintext: bytes, context: Mapping[str, str]) -> bytes:
    written = HEAD.pack(VERSION, uuid.UUID(head.key).bytes, head.material)
    nonce = os.urandom(NONCE)
    return written + nonce + material.encrypt(nonce, plaintext, written + _context(context))


def head_of(blob: bytes) -> Head:
    """Raises InvalidCiphertextException."""
    if len(blob) < HEAD.size + NONCE:
        raise invalid_ciphertext()
    version, key, material = HEAD.unpack_from(blob)
    if version != VERSION:
        raise invalid_ciphertext()
    return Head(str(uuid.UUID(bytes=key)), material)


def decrypt(material: AESGCM, blob: bytes, context: Mapping[str, str]) -> bytes:
    """Raises InvalidCiphertextException."""
    written, nonce = blob[: HEAD.size], blob[HEAD.size : HEAD.size + NONCE]
    try:
        return material.decrypt(nonce, blob[HEAD.size + NONCE :], written + _context(context))
    except InvalidTag as problem:
        raise invalid_ciphertext() from problem


def _context(context: Mapping[str, str]) -> bytes:
    return json.dumps(dict(context), sort_keys=True).encode()
