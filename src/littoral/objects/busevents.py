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


def bus_event(origin: Origin, happened: Happened) -> dict[str, Any]:
    """What the bus makes an event of. Sent twice it has the same id."""
    created = happened.event.startswith("ObjectCreated")
    thing: dict[str, Any] = {"key": happened.key}
    if happened.content is not None:
        thing |= {"size": happened.content.size, "etag": happened.content.etag}
    if happened.version is not None:
        thing["version-id"] = happened.version
    sequencer = f"{happened.sequencer:018X}"
    detail: dict[str, Any] = {
        "version": "0",
        "bucket": {"name": happened.bucket},
        "object": thing | {"sequencer": sequencer},
        "request-id": origin.request_id,
        "requester": origin.principal,
        "source-ip-address": origin.source_ip,
        "reason": REASONS[happened.event],
    }
    if not created:
        marker = happened.event.endswith("DeleteMarkerCreated")
        detail["deletion-type"] = "Delete Marker Created" if marker else "Permanently Deleted"
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"s3://{happened.bucket}/{sequencer}")),
        "detail-type": "Object Created" if created else "Object Deleted",
        "time": origin.now,
        "resources": [f"arn:aws:s3:::{happened.bucket}"],
        "detail": detail,
    }
