"""Signatures of tokens: RSA with SHA-256 (PKCS #1 v1.5), base64, by the key pair whose public half is kept."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

FEWEST_BITS: Final = 2048


@lru_cache(maxsize=64)
def public_key(pem: str) -> rsa.RSAPublicKey:
    """Raises ValueError for what is no RSA key of 2048 bits or more."""
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < FEWEST_BITS:
        raise ValueError(f"a token signing key must be an RSA public key of at least {FEWEST_BITS} bits")
    return key


def signed(token: str, signature: str, keys: Iterable[str]) -> bool:
    """Whether one of these keys has signed the token."""
    try:
        given = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    return any(_by(public_key(pem), token.encode("utf-8", "surrogatepass"), given) for pem in keys)


def _by(key: rsa.RSAPublicKey, token: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, token, padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True
