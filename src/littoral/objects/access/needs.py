"""Which permission of S3 each operation needs, and of what. ("Required permissions for Amazon S3 API operations")"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Of = Literal["bucket", "object"]


@dataclass(frozen=True, slots=True)
class Need:
    """``acl`` is what an access control list may grant it by; ``version`` the action where a version is named.
    ``keepers``: the object's owner decides, who may not be the bucket's."""

    action: str
    of: Of = "bucket"
    version: str = ""
    acl: str = ""
    keepers: bool = False

    def named(self, version: str | None) -> str:
        return self.version if version and self.version else self.action


def _object(action: str, acl: str = "", *, versions: bool = True) -> Need:
    keepers = action.startswith("GetObject") or action.endswith(("Acl", "Tagging"))
    return Need(f"s3:{action}", "object", _versioned(action) if versions else "", acl, keepers)


def _versioned(action: str) -> str:
    """GetObjectTagging of a version is s3:GetObjectVersionTagging."""
    return f"s3:{action.replace('Object', 'ObjectVersion', 1)}"


def _bucket(action: str, acl: str = "") -> Need:
    return Need(f"s3:{action}", "bucket", "", acl)


def _stated(need: Need) -> Need:
    return Need(need.action, need.of, "", "bucket:WRITE")


READ_OBJECT = _object("GetObject", "READ")
WRITE_OBJECT = Need("s3:PutObject", "object", "", "bucket:WRITE")
REMOVE_OBJECT = Need("s3:DeleteObject", "object", "s3:DeleteObjectVersion", "bucket:WRITE")
PUT_OBJECT_ACL = _object("PutObjectAcl", "WRITE_ACP")
PUT_OBJECT_TAGGING = _object("PutObjectTagging")
LIST_BUCKET = _bucket("ListBucket", "READ")

NEEDS: dict[str, Need] = {
    "AbortMultipartUpload": _object("AbortMultipartUpload", "bucket:WRITE", versions=False),
    "CompleteMultipartUpload": WRITE_OBJECT,
    "CopyObject": WRITE_OBJECT,  # and READ_OBJECT of the source
    "CreateMultipartUpload": WRITE_OBJECT,
    "DeleteBucket": _bucket("DeleteBucket"),
    "DeleteBucketCors": _bucket("PutBucketCORS"),
    "DeleteBucketEncryption": _bucket("PutEncryptionConfiguration"),
    "DeleteBucketLifecycle": _bucket("PutLifecycleConfiguration"),
    "DeleteBucketOwnershipControls": _bucket("PutBucketOwnershipControls"),
    "DeleteBucketPolicy": _bucket("DeleteBucketPolicy"),
    "DeleteBucketReplication": _bucket("PutReplicationConfiguration"),
    "DeleteBucketTagging": _bucket("PutBucketTagging"),
    "DeleteBucketWebsite": _bucket("DeleteBucketWebsite"),
    "DeleteObject": REMOVE_OBJECT,
    "DeleteObjectTagging": _object("DeleteObjectTagging"),
    "DeletePublicAccessBlock": _bucket("PutBucketPublicAccessBlock"),
    "GetBucketAcl": _bucket("GetBucketAcl", "READ_ACP"),
    "GetBucketCors": _bucket("GetBucketCORS"),
    "GetBucketEncryption": _bucket("GetEncryptionConfiguration"),
    "GetBucketLifecycleConfiguration": _bucket("GetLifecycleConfiguration"),
    "GetBucketLocation": _bucket("GetBucketLocation"),
    "GetBucketNotificationConfiguration": _bucket("GetBucketNotification"),
    "GetBucketOwnershipControls": _bucket("GetBucketOwnershipControls"),
    "GetBucketPolicy": _bucket("GetBucketPolicy"),
    "GetBucketPolicyStatus": _bucket("GetBucketPolicyStatus"),
    "GetBucketLogging": _bucket("GetBucketLogging"),
    "GetBucketRequestPayment": _bucket("GetBucketRequestPayment"),
    "GetBucketReplication": _bucket("GetReplicationConfiguration"),
    "GetBucketTagging": _bucket("GetBucketTagging"),
    "GetBucketVersioning": _bucket("GetBucketVersioning"),
    "GetBucketWebsite": _bucket("GetBucketWebsite"),
    "GetObject": READ_OBJECT,
    "GetObjectAcl": _object("GetObjectAcl", "READ_ACP"),
    "GetObjectAttributes": READ_OBJECT,  # and s3:GetObjectAttributes
    "GetObjectLegalHold": _object("GetObjectLegalHold", versions=False),
    "GetObjectLockConfiguration": _bucket("GetBucketObjectLockConfiguration"),
    "GetObjectRetention": _object("GetObjectRetention", versions=False),
    "GetObjectTagging": _object("GetObjectTagging"),
    "GetPublicAccessBlock": _bucket("GetBucketPublicAccessBlock"),
    "HeadBucket": LIST_BUCKET,
    "HeadObject": READ_OBJECT,
    "ListMultipartUploads": _bucket("ListBucketMultipartUploads", "READ"),
    "ListObjectVersions": _bucket("ListBucketVersions", "READ"),
    "ListObjects": LIST_BUCKET,
    "ListObjectsV2": LIST_BUCKET,
    "ListParts": _object("ListMultipartUploadParts", versions=False),
    "PutBucketAcl": _bucket("PutBucketAcl", "WRITE_ACP"),
    "PutBucketCors": _bucket("PutBucketCORS"),
    "PutBucketEncryption": _bucket("PutEncryptionConfiguration"),
    "PutBucketLifecycleConfiguration": _bucket("PutLifecycleConfiguration"),
    "PutBucketNotificationConfiguration": _bucket("PutBucketNotification"),
    "PutBucketOwnershipControls": _bucket("PutBucketOwnershipControls"),
    "PutBucketLogging": _bucket("PutBucketLogging"),
    "PutBucketPolicy": _bucket("PutBucketPolicy"),
    "PutBucketRequestPayment": _bucket("PutBucketRequestPayment"),
    "PutBucketReplication": _bucket("PutReplicationConfiguration"),
    "PutBucketTagging": _bucket("PutBucketTagging"),
    "PutBucketVersioning": _bucket("PutBucketVersioning"),
    "PutBucketWebsite": _bucket("PutBucketWebsite"),
    "PostObject": WRITE_OBJECT,
    "PutObject": WRITE_OBJECT,
    "PutObjectAcl": PUT_OBJECT_ACL,
    "PutObjectLegalHold": _object("PutObjectLegalHold", versions=False),
    "PutObjectLockConfiguration": _bucket("PutBucketObjectLockConfiguration"),
    "PutObjectRetention": _object("PutObjectRetention", versions=False),
    "PutObjectTagging": PUT_OBJECT_TAGGING,
    "RestoreObject": _object("RestoreObject", versions=False),
    "PutPublicAccessBlock": _bucket("PutBucketPublicAccessBlock"),
    "UploadPart": WRITE_OBJECT,
    "UploadPartCopy": WRITE_OBJECT,  # and READ_OBJECT of the source
}
BY_KEY = frozenset(("DeleteObjects", "LittoralGetObjects"))  # asks for each key by itself
OF_ACCOUNT = frozenset(("CreateBucket", "ListBuckets"))  # no resource policy speaks of these
GET_ATTRIBUTES = _object("GetObjectAttributes")
BYPASS = _object("BypassGovernanceRetention", versions=False)
ACTIONS = frozenset(
    action.lower()
    for need in (*NEEDS.values(), GET_ATTRIBUTES, BYPASS)
    for action in (need.action, need.version)
    if action
) | {"s3:createbucket"}
_STATED = (  # what a write may bring beside bytes, and needs a permission of its own for; a list's WRITE is all of it
    (("ACL", "GrantFullControl", "GrantRead", "GrantReadACP", "GrantWriteACP"), _stated(PUT_OBJECT_ACL)),
    (("Tagging",), _stated(PUT_OBJECT_TAGGING)),
    (("ObjectLockMode",), NEEDS["PutObjectRetention"]),
    (("ObjectLockLegalHoldStatus",), NEEDS["PutObjectLegalHold"]),
)


def further(operation: str, given: Mapping[str, Any]) -> Iterator[Need]:
    """What an operation needs beside its own permission."""
    if operation in ("PutObject", "PostObject", "CopyObject", "CreateMultipartUpload"):
        yield from (need for members, need in _STATED if any(given.get(member) for member in members))
    if operation == "GetObjectAttributes":
        yield GET_ATTRIBUTES
    if given.get("BypassGovernanceRetention"):
        yield BYPASS
