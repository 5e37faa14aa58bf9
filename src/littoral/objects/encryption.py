"""Server-side encryption: which key an object's own key is wrapped with, and who must show it. Pure but for chance.

Every encrypted object has a data key of its own (``frames``). It is kept beside the object, wrapped: by the key of this
place (SSE-S3, and SSE-KMS with ``alias/aws/s3``), by a key of KMS, or by the key that the customer sends with each
request (SSE-C), of which nothing but its MD5 is kept. ("Protecting data with encryption" of the S3 user guide)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from littoral.aws.service import ServiceError
from littoral.aws.vault import Vault
from littoral.objects.errors import error, invalid_argument, malformed
from littoral.store.frames import KEY_BYTES
from littoral.store.sealed import CannotOpen, Seal

AES, KMS, CUSTOMER = "AES256", "aws:kms", "customer"
BLOCKED, SSE_C = "BlockedEncryptionTypes", "SSE-C"
ABOUT = "the key of an object"
CONTEXT = {"littoral": ABOUT}


@dataclass(frozen=True, slots=True)
class Encryption:
    """As it is kept with an object. ``kind`` is AES256, aws:kms, or "customer"; ``wrapped`` is the data key."""

    kind: str
    wrapped: str
    kms_key: str | None = None
    key_md5: str | None = None

    @property
    def shows_md5(self) -> bool:
        """The ETag says nothing of the content to who has no key, but with SSE-S3, where it is the MD5 as always."""
        return self.kind == AES

    def members(self) -> dict[str, Any]:
        """For answers about the object."""
        if self.key_md5 is not None:
            return {"SSECustomerAlgorithm": AES, "SSECustomerKeyMD5": self.key_md5}
        told = {"ServerSideEncryption": self.kind}
        return told if self.kms_key is None else told | {"SSEKMSKeyId": self.kms_key}


@dataclass(frozen=True, slots=True)
class CustomerKey:
    key: bytes
    md5: str

    def __repr__(self) -> str:
        return f"CustomerKey({self.md5})"  # the key never reaches a log


@dataclass(frozen=True, slots=True)
class Sealing:
    """What a write is sealed with: the data key, and what is kept of it."""

    key: bytes
    kept: Encryption

    def __repr__(self) -> str:
        return f"Sealing({self.kept.kind})"

    @property
    def shows_md5(self) -> bool:
        return self.kept.shows_md5

    def etag(self, md5: bytes) -> bytes:
        return md5 if self.shows_md5 else hashlib.md5(self.key + md5, usedforsecurity=False).digest()


def kept_of(sealing: Sealing | None) -> Encryption | None:
    return None if sealing is None else sealing.kept


class Keys:
    """Makes data keys and unwraps them. ``seal`` is the place's own key."""

    def __init__(self, seal: Seal, region: str, account: str) -> None:
        self._seal = seal
        self._own = f"arn:aws:kms:{region}:{account}:alias/aws/s3"
        self.vault: Vault | None = None

    def sealing(
        self, kind: str | None, kms_key: str | None, customer: CustomerKey | None, default: str | None
    ) -> Sealing | None:
        """For a write that asks for this; ``default`` is the bucket's encryption as kept. Raises ServiceError."""
        if customer is not None:
            if kind is not None:
                message = "Server Side Encryption with Customer provided key is incompatible with the encryption method"
                raise error("InvalidArgument", f"{message} specified")
            if default is not None and SSE_C in json.loads(default).get(BLOCKED, ()):
                raise error("AccessDenied", "Access Denied: the bucket blocks encryption with customer-provided keys")
            return self.around(os.urandom(KEY_BYTES), CUSTOMER, customer)
        if kind is None and default is not None:
            found = json.loads(default)
            kind, kms_key = found["SSEAlgorithm"], found.get("KMSMasterKeyID")
        if kind is None:
            if kms_key is not None:
                raise invalid_argument("SSEKMSKeyId needs aws:kms", "x-amz-server-side-encryption", "")
            return None
        return self.around(os.urandom(KEY_BYTES), kind, None, self.kms_key(kind, kms_key))

    def kms_key(self, kind: str, kms_key: str | None) -> str | None:
        """The ARN of the key of KMS that is meant, None where none is. Raises InvalidArgument, KMS.…"""
        if kind not in (AES, KMS):
            message = "The encryption method specified is not supported"
            raise invalid_argument(message, "x-amz-server-side-encryption", kind)
        if kms_key is not None and kind != KMS:
            raise invalid_argument("A KMS key goes with aws:kms only", "x-amz-server-side-encryption", kind)
        if kind != KMS:
            return None
        if kms_key is None or kms_key in ("alias/aws/s3", "aws/s3", self._own):
            return self._own
        with _as_s3():
            return self._vault(kms_key).usable(kms_key)

    def _vault(self, kms_key: str | None) -> Vault:
        if self.vault is None:
            raise ServiceError("NotFoundException", f"Invalid keyId {kms_key}: there is no KMS here", status=400)
        return self.vault

    def around(self, key: bytes, kind: str, customer: CustomerKey | None, kms_key: str | None = None) -> Sealing:
        """The same around a data key that is there: a copy shares its source's bytes."""
        if customer is not None:
            wrapped = Seal(customer.key).seal(key, ABOUT)
            return Sealing(key, Encryption(kind, _text(wrapped), key_md5=customer.md5))
        if kms_key in (None, self._own):
            wrapped = self._seal.seal(key, ABOUT)
        else:
            with _as_s3():
                wrapped = self._vault(kms_key).wrap(kms_key, key, CONTEXT)
        return Sealing(key, Encryption(kind, _text(wrapped), kms_key=kms_key))

    def opened(self, kept: Encryption | None, customer: CustomerKey | None) -> bytes | None:
        """The data key of an object, None where it is not encrypted. Raises InvalidRequest, AccessDenied, KMS.…"""
        if kept is None or kept.key_md5 is None:
            if customer is not None:
                raise error("InvalidRequest", "The encryption parameters are not applicable to this object.")
            if kept is not None and kept.kms_key not in (None, self._own):
                with _as_s3():
                    return self._vault(kept.kms_key).unwrap(base64.b64decode(kept.wrapped), CONTEXT)
            return None if kept is None else self._unwrapped(self._seal, kept)
        if customer is None:
            message = "The object was stored using a form of Server Side Encryption. The correct parameters must be"
            raise error("InvalidRequest", f"{message} provided to retrieve the object.")
        return self._unwrapped(Seal(customer.key), kept)

    def check_customer(self, kept: Encryption | None, customer: CustomerKey | None) -> None:
        """What ``opened`` refuses of a customer's key. Answers without an object's bytes need no key of KMS."""
        if customer is not None or (kept is not None and kept.key_md5 is not None):
            self.opened(kept, customer)

    def _unwrapped(self, seal: Seal, kept: Encryption) -> bytes:
        try:
            return seal.open(base64.b64decode(kept.wrapped), ABOUT)
        except CannotOpen as problem:
            raise error("AccessDenied", "Access Denied: this is not the key of the object") from problem


@contextmanager
def _as_s3() -> Iterator[None]:
    """What KMS refuses is refused in S3's name."""
    try:
        yield
    except ServiceError as refused:
        raise ServiceError(f"KMS.{refused.code}", refused.message, status=400) from refused


def customer_key(algorithm: str | None, key: str | None, md5: str | None) -> CustomerKey | None:
    """Of a request's three headers; None where it has none. Raises InvalidEncryptionAlgorithmError, InvalidArgument."""
    if algorithm is None and key is None and md5 is None:
        return None
    if algorithm is None or key is None:
        missing = "an appropriate secret key" if key is None else "a valid encryption algorithm"
        message = f"Requests specifying Server Side Encryption with Customer provided keys must provide {missing}."
        raise invalid_argument(message, "x-amz-server-side-encryption", "null")
    if algorithm != AES:
        message = "The encryption request you specified is not valid. The valid value is AES256."
        raise error("InvalidEncryptionAlgorithmError", message)
    try:
        raw = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        message = "The secret key was invalid for the specified algorithm."
        raise invalid_argument(message, "x-amz-server-side-encryption", "null")
    found = _text(hashlib.md5(raw, usedforsecurity=False).digest())
    if md5 != found:
        message = "The calculated MD5 hash of the key did not match the hash that was provided."
        raise invalid_argument(message, "x-amz-server-side-encryption", "null")
    return CustomerKey(raw, found)


def default_of(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The checked default of a ServerSideEncryptionConfiguration, as it is kept. Raises MalformedXML."""
    rules = configuration.get("Rules") or []
    rule = rules[0] if len(rules) == 1 else {}
    blocked = (rule.get(BLOCKED) or {}).get("EncryptionType") or []
    default = rule.get("ApplyServerSideEncryptionByDefault") or ({"SSEAlgorithm": AES} if blocked else None)
    if not default or default.get("SSEAlgorithm") not in (AES, KMS):
        raise malformed()
    if default.get("KMSMasterKeyID") is not None and default["SSEAlgorithm"] != KMS:
        raise error("InvalidArgument", "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms")
    more = {"BucketKeyEnabled": rule.get("BucketKeyEnabled"), BLOCKED: blocked}
    return {**default, **{name: value for name, value in more.items() if value}}


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
