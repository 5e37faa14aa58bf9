"""Events of objects for EventBridge: every change of a bucket that sends them there. Pure. ("EventBridge mapping" and
"Event message structure" of the S3 user guide)"""

from __future__ import annotations

import uuid
from typing import Any

from littoral.objects.events import Happened, Origin

BUS = "eventbridge"  # in the outbox, where a function's ARN is else
REASONS = {
    "ObjectCreated:Put": "PutObject",
    "ObjectCreated:Post": "POST Object",
    "ObjectCreated:Copy": "CopyObject",
    "ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
    "ObjectRemoved:Delete": "DeleteObject",
    "ObjectRemoved:DeleteMarkerCreated": "DeleteObject",
    "LifecycleExpiration:Delete": "Lifecycle Expiration",
    "LifecycleExpiration:DeleteMarkerCreated": "Lifecycle Expiration",
}
NAMES = {
    "ObjectCreated": "Object Created",
    "ObjectTagging:Put": "Object Tags Added",
    "ObjectTagging:Delete": "Object Tags Deleted",
    "ObjectAcl:Put": "Object ACL Updated",
}


def bus_event(origin: Origin, happened: Happened) -> dict[str, Any]:
    """What the bus makes an event of. Sent twice it has the same id."""
    family = happened.event.partition(":")[0]
    thing: dict[str, Any] = {"key": happened.key}
    if happened.content is not None:
        thing["etag"] = happened.content.etag
        if not happened.of_what_is_there:
            thing["size"] = happened.content.size
    if happened.version is not None:
        thing["version-id"] = happened.version
    sequencer = f"{happened.sequencer:018X}"
    detail: dict[str, Any] = {
        "version": "0",
        "bucket": {"name": happened.bucket},
        "object": thing,
        "request-id": origin.request_id,
        "requester": origin.principal,
        "source-ip-address": origin.source_ip,
    }
    if not happened.of_what_is_there:
        thing["sequencer"] = sequencer
        detail["reason"] = REASONS[happened.event]
    if family in ("ObjectRemoved", "LifecycleExpiration"):
        marker = happened.event.endswith("DeleteMarkerCreated")
        detail["deletion-type"] = "Delete Marker Created" if marker else "Permanently Deleted"
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"s3://{happened.bucket}/{sequencer}")),
        "detail-type": NAMES.get(happened.event) or NAMES.get(family, "Object Deleted"),
        "time": origin.now,
        "resources": [f"arn:aws:s3:::{happened.bucket}"],
        "detail": detail,
    }
