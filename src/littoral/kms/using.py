"""Encrypting and decrypting with keys: Encrypt, Decrypt, ReEncrypt, data keys, and bytes of chance."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.kms.catalog import Catalog
from littoral.kms.ciphertext import Head, decrypt, encrypt, head_of
from littoral.kms.errors import incorrect_key, invalid
from littoral.kms.key import Key

ALGORITHM: Final = "SYMMETRIC_DEFAULT"
SIZES: Final = {"AES_256": 32, "AES_128": 16}


def encrypted(catalog: Catalog, key: Key, plaintext: bytes, context: Mapping[str, str]) -> bytes:
    """By the newest material. Raises InvalidCiphertextException where the place has lost it."""
    number = len(key.rotated) - 1
    return encrypt(catalog.material(key, number), Head(key.id, number), plaintext, context)


def decrypted(catalog: Catalog, blob: bytes, context: Mapping[str, str]) -> tuple[Key, bytes]:
    """Raises InvalidCiphertextException, NotFoundException, DisabledException, KMSInvalidStateException."""
    head = head_of(blob)
    key = catalog.find(head.key)
    key.check_usable()
    return key, decrypt(catalog.material(key, head.material), blob, context)


class UsingOperations:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def _usable(self, identifier: str) -> Key:
        """With new material, where it is due."""
        self._catalog.find(identifier).check_usable()
        async with self._catalog.lock:
            await self._catalog.rotate()
        return self._catalog.find(identifier)

    @operation(harmless={"GrantTokens"})
    async def encrypt(
        self,
        call: Call,
        *,
        key_id: str,
        plaintext: bytes,
        encryption_context: Mapping[str, str] | None = None,
        encryption_algorithm: str = ALGORITHM,
        dry_run: bool = False,
    ) -> Output:
        _check_algorithm(encryption_algorithm)
        key = await self._usable(key_id)
        _check_dry(dry_run)
        blob = encrypted(self._catalog, key, plaintext, encryption_context or {})
        return {"CiphertextBlob": blob, "KeyId": key.arn, "EncryptionAlgorithm": ALGORITHM}

    @operation(harmless={"GrantTokens"})
    async def decrypt(
        self,
        call: Call,
        *,
        ciphertext_blob: bytes = b"",
        encryption_context: Mapping[str, str] | None = None,
        key_id: str | None = None,
        encryption_algorithm: str = ALGORITHM,
        dry_run: bool = False,
    ) -> Output:
        _check_algorithm(encryption_algorithm)
        key, plaintext = self._decrypted(ciphertext_blob, encryption_context, key_id)
        _check_dry(dry_run)
        return {"KeyId": key.arn, "Plaintext": plaintext, "EncryptionAlgorithm": ALGORITHM}

    def _decrypted(self, blob: bytes, context: Mapping[str, str] | None, wanted: str | None) -> tuple[Key, bytes]:
        if wanted is not None and self._catalog.find(wanted).id != head_of(blob).key:
            raise incorrect_key()
        return decrypted(self._catalog, blob, context or {})

    @operation(harmless={"GrantTokens"})
    async def re_encrypt(
        self,
        call: Call,
        *,
        destination_key_id: str,
        ciphertext_blob: bytes = b"",
        source_encryption_context: Mapping[str, str] | None = None,
        source_key_id: str | None = None,
        destination_encryption_context: Mapping[str, str] | None = None,
        source_encryption_algorithm: str = ALGORITHM,
        destination_encryption_algorithm: str = ALGORITHM,
        dry_run: bool = False,
    ) -> Output:
        _check_algorithm(source_encryption_algorithm)
        _check_algorithm(destination_encryption_algorithm)
        source, plaintext = self._decrypted(ciphertext_blob, source_encryption_context, source_key_id)
        key = await self._usable(destination_key_id)
        _check_dry(dry_run)
        blob = encrypted(self._catalog, key, plaintext, destination_encryption_context or {})
        return {
            "CiphertextBlob": blob,
            "SourceKeyId": source.arn,
            "KeyId": key.arn,
            "SourceEncryptionAlgorithm": ALGORITHM,
            "DestinationEncryptionAlgorithm": ALGORITHM,
        }

    @operation(harmless={"GrantTokens"})
    async def generate_data_key(
        self,
        call: Call,
        *,
        key_id: str,
        encryption_context: Mapping[str, str] | None = None,
        number_of_bytes: int | None = None,
        key_spec: str | None = None,
        dry_run: bool = False,
    ) -> Output:
        plaintext, output = await self._data_key(key_id, encryption_context, number_of_bytes, key_spec, dry_run)
        return output | {"Plaintext": plaintext}

    @operation(harmless={"GrantTokens"})
    async def generate_data_key_without_plaintext(
        self,
        call: Call,
        *,
        key_id: str,
        encryption_context: Mapping[str, str] | None = None,
        number_of_bytes: int | None = None,
        key_spec: str | None = None,
        dry_run: bool = False,
    ) -> Output:
        return (await self._data_key(key_id, encryption_context, number_of_bytes, key_spec, dry_run))[1]

    async def _data_key(
        self, key_id: str, context: Mapping[str, str] | None, count: int | None, spec: str | None, dry: bool
    ) -> tuple[bytes, Output]:
        if (count is None) is (spec is None):
            raise invalid("Please specify either number of bytes or key spec.")
        key = await self._usable(key_id)
        _check_dry(dry)
        plaintext = os.urandom(count if count is not None else SIZES[spec or ""])
        blob = encrypted(self._catalog, key, plaintext, context or {})
        return plaintext, {"CiphertextBlob": blob, "KeyId": key.arn}

    @operation()
    async def generate_random(self, call: Call, *, number_of_bytes: int | None = None) -> Output:
        if number_of_bytes is None:
            raise invalid("NumberOfBytes is required.")
        return {"Plaintext": os.urandom(number_of_bytes)}


def _check_algorithm(algorithm: str) -> None:
    if algorithm != ALGORITHM:
        raise ServiceError("InvalidKeyUsageException", f"Keys here are symmetric: {ALGORITHM} only.", status=400)


def _check_dry(dry: bool) -> None:
    if dry:
        message = "The request would have succeeded, but the DryRun option is set."
        raise ServiceError("DryRunOperationException", message, status=412)
