"""Operations that are Littoral's own within a service of AWS, in the form of botocore's models, and the shapes of AWS's
that S3 has otherwise than they say.

Their names begin with Littoral, so that no later operation of AWS's is hidden by one. They are recognised, called,
counted and told of as any other; no client of AWS's knows of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from littoral.protocols import manyobjects

_BUCKET: Final = {"shape": "BucketName", "location": "uri", "locationName": "Bucket"}
_TEXT: Final = {"type": "string"}
_OWNER: Final = {"shape": "AccountId", "location": "header", "locationName": "x-amz-expected-bucket-owner"}
OWN: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "s3": {
        "operations": {
            "LittoralGetObjects": {
                "name": "LittoralGetObjects",
                "http": {"method": "POST", "requestUri": f"/{{Bucket}}?{manyobjects.QUERY}"},
                "input": {"shape": "LittoralGetObjectsRequest"},
                "output": {"shape": "LittoralGetObjectsOutput"},
            }
        },
        "shapes": {
            "LittoralGetObjectsRequest": {
                "type": "structure",
                "required": ["Bucket"],
                "members": {"Bucket": _BUCKET, "ExpectedBucketOwner": _OWNER, "Body": {"shape": "Body"}},
                "payload": "Body",
            },
            "LittoralGetObjectsOutput": {
                "type": "structure",
                "members": {
                    "ContentType": {"shape": "ContentType", "location": "header", "locationName": "Content-Type"},
                    "Body": {"shape": "Body"},
                },
                "payload": "Body",
            },
            "Expires": _TEXT,  # whatever was said: S3 keeps no time, and many say "0"
            "ResponseExpires": _TEXT,
            "IfModifiedSince": _TEXT,  # what is no date says nothing (RFC 9110 s. 13.1.3), and is not refused
            "IfUnmodifiedSince": _TEXT,
        },
    }
}


def with_own(service: str, model: dict[str, Any]) -> dict[str, Any]:
    """``model`` stays as it is."""
    own = OWN.get(service, {})
    return {**model, **{part: {**model[part], **added} for part, added in own.items()}}
