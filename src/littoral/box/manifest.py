"""The manifest of a job: what a box must be told to be opened, in one file that only the unlock code opens. Pure, but
for chance.

::

    file     {"document": …, "issuer": certificate (PEM), "signature": …}            signed by the issuer's authority
    document {"version": 1, "job": …, "salt": …, "cost": scrypt's N, "sealed": …}    what anybody may read
    sealed   AES-256-GCM by scrypt(unlock code, salt), bound to the job's id: the ``Manifest`` below

Neither the file nor the code opens anything alone ("GetJobManifest", "GetJobUnlockCode" of the Snowball API): the code
has 125 bits of chance. Both together give the job key, which opens a box only with the box's own secret (``volume``).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from littoral.net.pki import InvalidRequest, verify_signature
from littoral.store.sealed import KEY_BYTES, CannotOpen, Seal

JobType = Literal["IMPORT", "EXPORT", "LOCAL_USE"]
VERSION: Final = 1
COST: Final = 2**15  # scrypt's N with r = 8: 32 MiB
MOST_COST: Final = 2**18
LARGEST: Final = 1024 * 1024  # bytes of a manifest's file
LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # without l, o, 0 and 1: 32, so a letter is five bits
GROUPS, GROUP = 5, 5


class BadManifest(Exception):
    """It is no manifest, or not what its issuer signed."""


class WrongCode(Exception):
    """The code is not this manifest's, or no code at all."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Of a bucket, the keys from ``begin`` to ``end``, both included, in UTF-8 order; "" is without bound."""

    bucket: str
    begin: str = ""
    end: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the box of a job is told. ``authority`` signs the box's servers: who has its certificate knows the box."""

    job: str  # "JID" and a UUID
    kind: JobType
    ranges: tuple[KeyRange, ...]  # what an export job brings, the buckets that an import job takes
    region: str
    account: str
    job_key: bytes  # 32 bytes; the region keeps its own copy for as long as the job lives
    access_key: str  # the box's own credentials
    secret_key: str
    authority_certificate: str  # PEM
    authority_key: str  # PEM
    issued: float  # Unix seconds, as ``expires``: nothing is unlocked after that
    expires: float

    def __repr__(self) -> str:
        return f"Manifest({self.job}, {self.kind})"  # its keys never reach a log


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a manifest shows without its code, once its signature was found good."""

    job: str
    issuer: str  # PEM
    salt: bytes
    cost: int
    sealed: bytes


def new_code() -> str:
    """An unlock code of 29 characters, as AWS's: five groups of five."""
    letters = (secrets.choice(LETTERS) for _ in range(GROUPS * GROUP))
    return "-".join("".join(next(letters) for _ in range(GROUP)) for _ in range(GROUPS))


def seal(manifest: Manifest, code: str, issuer: str, sign: Callable[[bytes], bytes]) -> bytes:
    """The manifest's file. ``sign`` signs with the key of the certificate ``issuer`` (``net.pki.Authority.sign``)."""
    salt = os.urandom(16)
    content = asdict(manifest) | {"job_key": _text(manifest.job_key)}
    sealed = _sealed_by(code, salt, COST).seal(json.dumps(content).encode(), _about(manifest.job))
    document = json.dumps(
        {"version": VERSION, "job": manifest.job, "salt": _text(salt), "cost": COST, "sealed": _text(sealed)}
    )
    signature = _text(sign(document.encode()))
    return json.dumps({"document": document, "issuer": issuer, "signature": signature}, indent=1).encode()


def envelope(file: bytes) -> Envelope:
    """What anybody may read of a manifest. That the issuer is one to be trusted is the caller's to say. Raises
    BadManifest."""
    if len(file) > LARGEST:
        raise BadManifest("it is too large for a manifest")
    try:
        outer = json.loads(file)
        document, issuer = outer["document"], outer["issuer"]
        verify_signature(issuer.encode(), document.encode(), _raw(outer["signature"]))
        found = json.loads(document)
        if found["version"] != VERSION:
            raise BadManifest(f"its version is {found['version']}, not {VERSION}")
        made = Envelope(found["job"], issuer, _raw(found["salt"]), found["cost"], _raw(found["sealed"]))
    except InvalidRequest as problem:
        raise BadManifest(f"its signature is not its issuer's: {problem}") from problem
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as problem:
        raise BadManifest("it is not a manifest") from problem
    if not isinstance(made.job, str) or not _is_cost(made.cost):
        raise BadManifest("it is not a manifest")
    return made


def open_manifest(file: bytes, code: str) -> Manifest:
    """Raises BadManifest, WrongCode."""
    outside = envelope(file)
    if not is_code(code):
        raise WrongCode("an unlock code has five groups of five letters and digits, joined by hyphens")
    try:
        content = _sealed_by(code, outside.salt, outside.cost).open(outside.sealed, _about(outside.job))
    except CannotOpen as problem:
        raise WrongCode("this unlock code does not open this manifest") from problem
    found: dict[str, Any] = json.loads(content)
    ranges = tuple(KeyRange(**each) for each in found["ranges"])
    return Manifest(**found | {"ranges": ranges, "job_key": _raw(found["job_key"])})


def is_code(text: str) -> bool:
    groups = text.split("-")
    return [len(each) for each in groups] == [GROUP] * GROUPS and all(letter in LETTERS + "-" for letter in text)


def _sealed_by(code: str, salt: bytes, cost: int) -> Seal:
    return Seal(Scrypt(salt=salt, length=KEY_BYTES, n=cost, r=8, p=1).derive(code.encode()))


def _is_cost(cost: object) -> bool:
    return isinstance(cost, int) and 2 <= cost <= MOST_COST and cost & (cost - 1) == 0


def _about(job: str) -> str:
    return f"littoral box manifest {VERSION}: {job}"


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _raw(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
