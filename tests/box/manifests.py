"""Manifests for tests: what a region would issue for a job."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from littoral.aws.identity import new_key
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
    own, key, now, code = Authority.create("Littoral box"), new_key(), time.time(), new_code()
    manifest = Manifest(
        job=JOB,
        kind=kind,
        ranges=(KeyRange("pictures", "a", "m"),),
        region="us-east-1",
        account="000000000000",
        job_key=os.urandom(32),
        access_key=key.id,
        secret_key=key.secret,
        authority_certificate=own.certificate_pem.decode(),
        authority_key=own.private_pem.decode(),
        issued=now,
        expires=now + 360 * 86400 if expires is None else expires,
    )
    return Issued(manifest, seal(manifest, code, issuer.certificate_pem.decode(), issuer.sign), code)
