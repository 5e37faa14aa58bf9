"""Where the bytes of objects lie: in the data folder, or in a bucket of another S3 endpoint (``objects_backend``); and
where replicas of them go (``replicas``)."""

from __future__ import annotations

import json
import secrets

from littoral.net.client import HttpClient
from littoral.objects import Objects
from littoral.site.awsprofiles import Endpoint
from littoral.site.foundation import Foundation
from littoral.site.place import Misconfigured
from littoral.site.tiering import tier_readings
from littoral.store.contract import Blobs
from littoral.store.remote.blobs import RemoteBlobs
from littoral.store.remote.far import S3Far, Where
from littoral.store.remote.outgrown import OutgrownBlobs

HERE, THERE = "objects", "objects-there"  # buckets of blobs


def replicate(base: Foundation, objects: Objects) -> None:
    """To buckets elsewhere (``replicas``), whose bytes may then go from here (``tier_keep``). Raises Misconfigured."""
    settings = base.place.settings
    replicas = settings.replicas
    if missing := objects.lie_above - {bucket for bucket, _ in replicas}:
        raise Misconfigured(f"bytes of objects lie in {', '.join(sorted(missing))}, which replicas must name")
    if settings.tier_keep is not None:
        if not replicas or settings.objects_backend is not None:
            raise Misconfigured("tier-keep is for a place with replicas and without objects-backend")
        objects.tier.keep = settings.tier_keep * 1024 * 1024
    base.metrics.add(lambda: tier_readings(objects.tier))
    if replicas:
        client = HttpClient()
        base.place.part(client.close)
        objects.replicate_to({bucket: Endpoint.of(profile) for bucket, profile in replicas}, client)


async def object_blobs(base: Foundation) -> Blobs | None:
    """None where they lie here, all of them. Raises Misconfigured."""
    settings = base.place.settings
    records = base.store.records("objects-backend")
    kept = await records.get("where")
    held = json.loads(kept.value) if kept is not None else None
    rows = base.store.blob_rows(THERE)
    if settings.objects_backend is None:
        if held is not None and rows.page("", "", 1):
            raise Misconfigured(f"objects of this place lie at {held['backend']}: objects-backend must say so")
        return None
    if held is None or (held["backend"] != settings.objects_backend and not rows.page("", "", 1)):
        held = {"backend": settings.objects_backend, "name": secrets.token_hex(8)}
        await records.put("where", json.dumps(held).encode())
    if held["backend"] != settings.objects_backend:
        raise Misconfigured(f"objects of this place lie at {held['backend']}, not at {settings.objects_backend}")
    if base.store.key_of(base.store.folder / "blobs") is not None:
        raise Misconfigured("objects-backend: the store of this place has a key, and objects would lie open over there")
    there = RemoteBlobs(rows, _far(settings.objects_backend, settings.objects_profile, held["name"]))
    base.place.part(there.close)
    there.start()
    return OutgrownBlobs(base.store.blobs(HERE), there)


def _far(backend: str, profile: str, name: str) -> S3Far:
    """Under ``name``, so that two places may share a bucket and a prefix."""
    endpoint = Endpoint.of(profile)
    bucket, _, prefix = backend.removeprefix("s3://").partition("/")
    prefix = "/".join(part for part in (prefix.strip("/"), name) if part)
    try:
        return S3Far(Where(bucket, prefix, endpoint.url, endpoint.region, endpoint.credentials))
    except ImportError as problem:
        raise Misconfigured("objects-backend needs obstore: pip install 'littoral[remote]'") from problem
