"""What a job's manifest says, with the keys that are made for it alone."""

from __future__ import annotations

import os
from collections.abc import Sequence

from littoral.aws.identity import new_key
from littoral.box.manifest import JobType, KeyRange, Manifest
from littoral.net.pki import Authority
from littoral.store.sealed import KEY_BYTES


def drafted(
    job: str, kind: JobType, ranges: Sequence[KeyRange], region: str, account: str, issued: float, expires: float
) -> Manifest:
    """With a job key, credentials and an authority of its own."""
    key, own = new_key(), Authority.create(f"Littoral box {job}")
    return Manifest(
        job=job,
        kind=kind,
        ranges=tuple(ranges),
        region=region,
        account=account,
        job_key=os.urandom(KEY_BYTES),
        access_key=key.id,
        secret_key=key.secret,
        authority_certificate=own.certificate_pem.decode(),
        authority_key=own.private_pem.decode(),
        issued=issued,
        expires=expires,
    )
