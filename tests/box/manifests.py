"""Manifests for tests: what a region would issue for a job."""

from __future__ import annotations

import time
from dataclasses import dataclass

from littoral.box.issuing import drafted
from littoral.box.manifest import JobType, KeyRange, Manifest, new_code, seal
from littoral.net.pki import Authority

JOB = "JID01234567-89ab-cdef-0123-456789abcdef"


@dataclass(frozen=True)
class Issued:
    """A manifest, its file and its code."""

    manifest: Manifest
    file: bytes
    code: str


def issue(kind: JobType = "LOCAL_USE", *, region: Authority | None = None, expires: float | None = None) -> Issued:
    issuer = region or Authority.create("Littoral region")
    now, code = time.time(), new_code()
    ends = now + 360 * 86400 if expires is None else expires
    manifest = drafted(JOB, kind, [KeyRange("pictures", "a", "m")], "us-east-1", "000000000000", now, ends)
    return Issued(manifest, seal(manifest, code, issuer.certificate_pem.decode(), issuer.sign), code)
