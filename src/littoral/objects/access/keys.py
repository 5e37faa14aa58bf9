"""What a request is to the conditions of a policy. ("Actions, resources, and condition keys for Amazon S3", "AWS global
condition context keys")"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from littoral.aws.service import Call, Signing
from littoral.objects.access.callers import Caller
from littoral.objects.facts import Tags

MEMBERS = {  # of the input, and the condition key that each is
    "ACL": "s3:x-amz-acl",
    "BypassGovernanceRetention": "s3:x-amz-bypass-governance-retention",
    "CopySource": "s3:x-amz-copy-source",
    "Delimiter": "s3:delimiter",
    "GrantFullControl": "s3:x-amz-grant-full-control",
    "GrantRead": "s3:x-amz-grant-read",
    "GrantReadACP": "s3:x-amz-grant-read-acp",
    "GrantWrite": "s3:x-amz-grant-write",
    "GrantWriteACP": "s3:x-amz-grant-write-acp",
    "IfMatch": "s3:if-match",
    "IfNoneMatch": "s3:if-none-match",
    "MaxKeys": "s3:max-keys",
    "MetadataDirective": "s3:x-amz-metadata-directive",
    "ObjectLockLegalHoldStatus": "s3:object-lock-legal-hold",
    "ObjectLockMode": "s3:object-lock-mode",
    "ObjectOwnership": "s3:x-amz-object-ownership",
    "Prefix": "s3:prefix",
    "SSECustomerAlgorithm": "s3:x-amz-server-side-encryption-customer-algorithm",
    "SSEKMSKeyId": "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "ServerSideEncryption": "s3:x-amz-server-side-encryption",
    "StorageClass": "s3:x-amz-storage-class",
    "VersionId": "s3:versionid",
    "WebsiteRedirectLocation": "s3:x-amz-website-redirect-location",
}
EXISTING, REQUESTED = "s3:existingobjecttag/", "s3:requestobjecttag/"
KNOWN = frozenset(
    (*MEMBERS.values(), "s3:requestobjecttagkeys", "s3:authtype", "s3:signatureversion", "s3:x-amz-content-sha256")
)


def known(key: str) -> bool:
    """Whether a condition may ask for it: what S3 does not have is refused, and global keys are absent where a request
    has none."""
    return not key.startswith("s3:") or key in KNOWN or key.startswith((EXISTING, REQUESTED))


def keys_of(call: Call, caller: Caller, given: Mapping[str, Any], existing: Tags) -> dict[str, str | tuple[str, ...]]:
    """``given`` is the operation's input; ``existing`` are the object's tags."""
    found = _of_request(call, caller)
    for member, key in MEMBERS.items():
        value = given.get(member)
        if value is not None:
            found[key] = str(value).lower() if isinstance(value, bool) else str(value)
    found |= {f"{EXISTING}{name}": value for name, value in existing}
    asked = _requested(given.get("Tagging"))
    if asked:
        found |= {f"{REQUESTED}{name}": value for name, value in asked}
        found["s3:requestobjecttagkeys"] = tuple(name for name, _ in asked)
    return found


def _of_request(call: Call, caller: Caller) -> dict[str, str | tuple[str, ...]]:
    request = call.request
    found: dict[str, str | tuple[str, ...]] = {
        "aws:sourceip": request.peer.host,
        "aws:securetransport": str(request.peer.tls).lower(),
        "aws:currenttime": datetime.fromtimestamp(call.now, UTC).isoformat(),
        "aws:epochtime": str(int(call.now)),
        "aws:principaltype": "Anonymous" if not caller.account else "Account" if caller.root else "User",
        "s3:signatureversion": "AWS" if call.signing.second else "AWS4-HMAC-SHA256",
        "s3:authtype": _auth_type(call.signing),
    }
    for key, name in (
        ("aws:useragent", "user-agent"),
        ("aws:referer", "referer"),
        ("s3:x-amz-content-sha256", "x-amz-content-sha256"),
    ):
        value = request.headers.get(name)
        if value is not None:
            found[key] = value
    if caller.account:
        found |= {"aws:principalarn": caller.arn, "aws:principalaccount": caller.account, "aws:userid": caller.account}
        if ":user/" in caller.arn:
            found["aws:username"] = caller.arn.rpartition("/")[2]
    return found


def _auth_type(signing: Signing) -> str:
    if signing.of_form:
        return "POST"
    return "REST-QUERY-STRING" if signing.of_query else "REST-HEADER"


def _requested(tagging: Any) -> Tags:
    if isinstance(tagging, str):
        return tuple(parse_qsl(tagging, keep_blank_values=True))
    if isinstance(tagging, Mapping):
        return tuple((tag.get("Key", ""), tag.get("Value", "")) for tag in tagging.get("TagSet") or [])
    return ()
