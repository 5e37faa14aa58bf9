"""What an S3 request's query names beside its path, and no operation of its method has: ``DELETE /bucket/key?acl``.

Routes are told by what they need, so such a request would be that of the object or bucket itself, which it would
overwrite or delete. A read takes nothing away, and a page's own query may have any name: there only those count that
S3 has had since the signatures of version 2 (``sigv2.SUBRESOURCES``).
"""

from __future__ import annotations

from functools import cache

from littoral.aws import models, routes
from littoral.aws.service import ServiceError
from littoral.aws.wire.parts import Parts
from littoral.protocols.sigv2 import SUBRESOURCES

MEMBERS = {  # that belong to an object or an upload, and what is said where they do not
    "versionId": "This operation does not accept a version-id.",
    "partNumber": "This operation does not accept partNumber without uploadId.",
    "uploadId": "This operation does not accept uploadId without partNumber.",
}


def check(method: str, operation: str, parts: Parts) -> None:
    """Raises ServiceError."""
    left = [name for name, _ in parts.query if name in _counting(method) and name not in _accepted(operation)]
    if not left:
        return
    literal = next(iter(routes.literals("s3")[operation]), None)
    if literal is not None:
        fields = {"ArgumentName": "ResourceType", "ArgumentValue": literal}
        message = f"Conflicting query string parameters: {', '.join([literal, *left])}"
        raise ServiceError("InvalidArgument", message, status=400, fields=fields)
    if left[0] in MEMBERS:
        raise ServiceError("InvalidArgument", MEMBERS[left[0]], status=400, fields={"ArgumentName": left[0]})
    if method == "GET":
        what = "key" if "Key" in parts.labels else "bucket"
        message = f"There is no such thing as the ?{left[0]} sub-resource for a {what}"
        raise ServiceError("InvalidRequest", message, status=400)
    message = "The specified method is not allowed against this resource."
    fields = {"Method": method, "ResourceType": left[0].upper()}
    raise ServiceError("MethodNotAllowed", message, status=405, fields=fields)


@cache
def _counting(method: str) -> frozenset[str]:
    every = frozenset[str]().union(*routes.literals("s3").values())
    if method == "GET":
        return every & SUBRESOURCES - MEMBERS.keys()
    return frozenset() if method == "HEAD" else every | MEMBERS.keys()


@cache
def _accepted(operation: str) -> frozenset[str]:
    shape = models.operation_model("s3", operation).input_shape
    members = shape.members.values() if shape else ()
    asked = (each.serialization for each in members if each.serialization.get("location") == "querystring")
    return routes.literals("s3")[operation].union(each["name"] for each in asked)
