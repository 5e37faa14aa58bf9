"""The place's signature under a version: Ed25519 (RFC 8032) over its name, number, digest and size.

Whoever has the place's public key knows by it that a file is that version of that model, wherever it came from.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from littoral.models.registry.refusal import Untrue
from littoral.store.durable import make_folder, write_durably


def statement(name: str, version: int, sha256: str, size: int) -> bytes:
    """What is signed."""
    said = {"name": name, "sha256": sha256, "size": size, "version": version}
    return b"littoral model 1\n" + json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


class Signer:
    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = base64.b64encode(key.public_key().public_bytes_raw()).decode()

    @classmethod
    def load_or_create(cls, file: Path) -> Self:
        """The 32 bytes of the key, durable and readable by their owner alone."""
        if not file.exists():
            make_folder(file.parent)
            write_durably(file, os.urandom(32))
        return cls.of(file.read_bytes())

    @classmethod
    def of(cls, key: bytes) -> Self:
        return cls(Ed25519PrivateKey.from_private_bytes(key))

    def sign(self, said: bytes) -> str:
        return base64.b64encode(self._key.sign(said)).decode()


def signature_file(name: str, version: int, sha256: str, size: int, signature: str) -> bytes:
    """What goes with a model's file to places that have no registry."""
    said = {"name": name, "version": version, "sha256": sha256, "size": size, "signature": signature}
    return json.dumps(said, indent=1).encode()


def check_file(data: bytes, name: str, sha256: str, size: int, public: str) -> None:
    """A ``signature_file`` says that the model of this digest and size (bytes) is a version of ``name``, and is signed
    by ``public``. Raises Untrue."""
    try:
        said = json.loads(data)
        number, signature = said["version"], said["signature"]
    except (ValueError, KeyError, TypeError) as problem:
        raise Untrue("its signature cannot be read") from problem
    if type(number) is not int or not isinstance(signature, str):
        raise Untrue("its signature cannot be read")
    check(statement(name, number, sha256, size), signature, public)


def check(said: bytes, signature: str, public: str) -> None:
    """Both in base64. Raises Untrue."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
        key.verify(base64.b64decode(signature, validate=True), said)
    except (InvalidSignature, ValueError, binascii.Error) as problem:
        raise Untrue("the model is not signed by the key that it should be signed by") from problem
