"""GetObjectAttributes."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.api.parts import Operations
from littoral.objects.checksums import ALGORITHMS
from littoral.objects.encryption import customer_key
from littoral.objects.errors import invalid_argument
from littoral.objects.facts import Stored
from littoral.objects.listing import limit_of, part_marker
from littoral.objects.versions import check_version

KNOWN = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


class AttributeOperations(Operations):
    @operation(harmless={"RequestPayer"})
    async def get_object_attributes(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        object_attributes: list[str],
        version_id: str | None = None,
        max_parts: int | None = None,
        part_number_marker: int | None = None,
        sse_customer_algorithm: str | None = None,
        sse_customer_key: str | None = None,
        sse_customer_key_md5: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        check_version(version_id)
        self._check_owner(bucket, expected_bucket_owner)
        for name in object_attributes:
            if name not in KNOWN:
                raise invalid_argument("Invalid attribute name specified.", "x-amz-object-attributes", name)
        customer = customer_key(sse_customer_algorithm, sse_customer_key, sse_customer_key_md5)
        stored = self._readable(call, bucket, key, version_id)
        self._keys.check_customer(stored.facts.encryption, customer)
        checksum = stored.facts.checksum
        every = {
            "ETag": stored.content.etag,
            "StorageClass": stored.facts.storage_class,
            "ObjectSize": stored.content.size,
            "Checksum": checksum.members() if checksum else None,
            "ObjectParts": _parts(stored, limit_of(max_parts, "max-parts"), part_marker(part_number_marker)),
        }
        chosen = {name: every[name] for name in object_attributes if every[name] is not None}
        return {"LastModified": float(int(stored.modified)), **stored.version_member, **chosen}


def _parts(stored: Stored, limit: int, after: int) -> dict[str, Any] | None:
    """Single parts are told only where they have checksums, as S3 does."""
    parts, checksum = stored.facts.parts, stored.facts.checksum
    if not parts:
        return None
    told: dict[str, Any] = {"TotalPartsCount": len(parts)}
    if checksum is None:
        return told
    rest = [part for part in parts if part.number > after]
    member = ALGORITHMS[checksum.algorithm].member
    return told | {
        "PartNumberMarker": after,
        "NextPartNumberMarker": rest[:limit][-1].number if rest[:limit] else 0,
        "MaxParts": limit,
        "IsTruncated": bool(limit) and len(rest) > limit,
        "Parts": [{"PartNumber": p.number, "Size": p.size, member: p.checksum} for p in rest[:limit]],
    }
