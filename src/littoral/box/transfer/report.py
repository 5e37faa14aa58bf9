"""What is said of a transfer in the end: lines of JSON, the last of which signs all before it.

::

    {"transfer": …, "source": …, "destination": …, "began": …, "ended": …, "objects": …, "bytes": …, "failed": …}
    {"key": …, "size": …, "sha256": …, "etag": …}          an object that is at the destination; a large one has its
                                                           "crc64nvme" (base64, as S3 has it) where that was verified
    {"key": …, "failed": …}                                what could not be moved, and why
    {"lines": …, "sha256": …, "signature": …, "signer": …} of all lines above; ECDSA by the signer's certificate (PEM)

Who has the signer's certificate from elsewhere knows whom to believe; ``fingerprint`` is what people compare.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from cryptography import x509

from littoral.box.transfer.journal import Journal
from littoral.box.transfer.sums import CRC64, SHA256, Sum, header_of, stated
from littoral.net.pki import Authority, InvalidRequest, certificate_id, verify_signature

_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_decoded = json.JSONDecoder().raw_decode


class BadReport(Exception):
    """It is no report, or not what its signer has signed."""


@dataclass(frozen=True, slots=True)
class Summary:
    transfer: str
    source: str
    destination: str
    began: float  # Unix seconds
    ended: float


@dataclass(frozen=True, slots=True)
class Verified:
    head: Mapping[str, Any]
    signer: str  # PEM
    objects: int
    failed: int

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.signer)


def write(file: Path, summary: Summary, journal: Journal, failed: Mapping[str, str], signer: Authority) -> None:
    """Whole or not at all. Raises OSError."""
    moved = ({"key": key, "size": size, **known.told, "etag": etag} for key, size, known, etag in journal.all())
    left = ({"key": key, "failed": reason} for key, reason in sorted(failed.items()))
    join(file, summary, (*journal.totals(), len(failed)), chain(moved, left), signer)


def join(
    file: Path, summary: Summary, totals: Sequence[int], told: Iterable[Mapping[str, Any]], signer: Authority
) -> None:
    """Of entries, perhaps of several reports; ``totals`` are their objects, bytes and failures. Raises OSError."""
    head = asdict(summary) | dict(zip(("objects", "bytes", "failed"), totals, strict=True))
    new = file.with_name(file.name + ".new")
    whole, lines = hashlib.sha256(), 0
    with new.open("wb") as out:
        for line in map(_line, chain([head], told)):
            out.write(line)
            whole.update(line)
            lines += 1
        out.write(_line(_signed(lines, whole.digest(), signer)))
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)


def _signed(lines: int, digest: bytes, signer: Authority) -> dict[str, Any]:
    return {
        "lines": lines,
        "sha256": digest.hex(),
        "signature": base64.b64encode(signer.sign(digest)).decode(),
        "signer": signer.certificate_pem.decode(),
    }


def _line(document: Mapping[str, Any]) -> bytes:
    return _text(document).encode() + b"\n"


def verify(file: Path) -> Verified:
    """That it is what its signer wrote, and complete. Raises BadReport, OSError."""
    whole, lines, objects, failed = hashlib.sha256(), 0, 0, 0
    head: dict[str, Any] = {}
    last = b""
    with file.open("rb") as report:
        for line in report:
            if last:
                whole.update(last)
                lines += 1
                told = _read(last)
                head = head or told
                objects += "etag" in told
                failed += "key" in told and "failed" in told
            last = line
    end = _read(last)
    try:
        if (end["lines"], end["sha256"]) != (lines, whole.hexdigest()):
            raise BadReport("its lines are not those that were signed")
        verify_signature(end["signer"].encode(), whole.digest(), base64.b64decode(end["signature"], validate=True))
        if (head["objects"], head["failed"]) != (objects, failed):
            raise BadReport("its lines are not as many as its head says")
    except InvalidRequest as problem:
        raise BadReport(f"its signature is not its signer's: {problem}") from problem
    except (KeyError, TypeError, AttributeError, binascii.Error) as problem:
        raise BadReport("it is no report of a transfer") from problem
    return Verified(head, end["signer"], objects, failed)


def entries(file: Path) -> Iterator[dict[str, Any]]:
    """Its objects and failures. Verify it before."""
    with file.open("rb") as report:
        for line in report:
            told = _read(line)
            if "key" in told:
                yield told


def stated_in(entry: Mapping[str, Any]) -> Sum | None:
    """The checksum of an object's line; None in one of a failure."""
    if "sha256" in entry:
        return Sum(SHA256, bytes.fromhex(entry["sha256"]))
    return stated({header_of(CRC64): entry.get(CRC64.lower(), "")})


def _read(line: bytes) -> dict[str, Any]:
    try:
        text = line.decode()
        told, end = _decoded(text)
    except (ValueError, RecursionError) as problem:
        raise BadReport("it is no report of a transfer") from problem
    if not isinstance(told, dict) or text[end:] not in ("\n", ""):
        raise BadReport("it is no report of a transfer")
    return told


def fingerprint(certificate: str) -> str:
    """Hex SHA-256 of a certificate's DER form."""
    return certificate_id(x509.load_pem_x509_certificate(certificate.encode()))
