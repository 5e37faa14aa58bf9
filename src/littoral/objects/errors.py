"""The errors of S3 by name, with their HTTP status: the model names only a few of them. Codes and statuses are those
of "Error responses" in the Amazon S3 API reference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any

from littoral.aws.service import ServiceError
from littoral.net.message import BodyError
from littoral.store.contract import Damaged, StorageAway, StorageFailed

STATUS = {
    "AccessControlListNotSupported": 400,
    "BucketAlreadyExists": 409,
    "MalformedACLError": 400,
    "MalformedPOSTRequest": 400,
    "MalformedPolicy": 400,
    "MaxPostPreDataLengthExceededError": 400,
    "NoSuchBucketPolicy": 404,
    "NoSuchCORSConfiguration": 404,
    "NoSuchPublicAccessBlockConfiguration": 404,
    "OwnershipControlsNotFoundError": 404,
    "UnresolvableGrantByEmailAddress": 400,
    "AccessDenied": 403,
    "AccessForbidden": 403,
    "BadDigest": 400,
    "BadRequest": 400,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "EntityTooLarge": 400,
    "EntityTooSmall": 400,
    "IllegalVersioningConfigurationException": 400,
    "IllegalLocationConstraintException": 400,
    "IncompleteBody": 400,
    "InternalError": 500,
    "InvalidArgument": 400,
    "InvalidBucketAclWithObjectOwnership": 400,
    "InvalidBucketAclWithBlockPublicAccessError": 400,
    "InvalidBucketName": 400,
    "InvalidBucketState": 409,
    "InvalidDigest": 400,
    "InvalidEncryptionAlgorithmError": 400,
    "InvalidPart": 400,
    "InvalidPartNumber": 416,
    "InvalidPolicyDocument": 400,
    "InvalidPartOrder": 400,
    "InvalidRange": 416,
    "InvalidRedirectLocation": 400,
    "InvalidRequest": 400,
    "InvalidObjectState": 403,
    "InvalidStorageClass": 400,
    "InvalidTag": 400,
    "KeyTooLongError": 400,
    "MalformedXML": 400,
    "MetadataTooLarge": 400,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "MissingSecurityHeader": 400,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchTagSet": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "NoSuchWebsiteConfiguration": 404,
    "ServerSideEncryptionConfigurationNotFoundError": 404,
    "NoSuchLifecycleConfiguration": 404,
    "ReplicationConfigurationNotFoundError": 404,
    "InvalidTargetBucketForLogging": 400,
    "NoSuchObjectLockConfiguration": 404,
    "NotImplemented": 501,
    "ObjectLockConfigurationNotFoundError": 404,
    "NotModified": 304,
    "NotSpooled": 400,  # Littoral's own (``spooled``)
    "PreconditionFailed": 412,
    "ServiceUnavailable": 503,
    "XAmzContentChecksumMismatch": 400,
}


def error(code: str, message: str, *, headers: dict[str, str] | None = None, **fields: Any) -> ServiceError:
    """``fields`` are further elements of the error document, such as BucketName or Key."""
    return ServiceError(code, message, status=STATUS[code], fields=fields, headers=headers)


def no_such_bucket(bucket: str) -> ServiceError:
    return error("NoSuchBucket", "The specified bucket does not exist", BucketName=bucket)


def no_such_key(key: str, marker: str | None = None) -> ServiceError:
    """``marker`` is the version of the delete marker that is the newest of the key."""
    headers = None if marker is None else {"x-amz-delete-marker": "true", "x-amz-version-id": marker}
    return error("NoSuchKey", "The specified key does not exist.", headers=headers, Key=key)


def is_delete_marker(version: str, made: float) -> ServiceError:
    when = formatdate(int(made), usegmt=True)
    headers = {"x-amz-delete-marker": "true", "x-amz-version-id": version, "Last-Modified": when, "Allow": "DELETE"}
    message = "The specified method is not allowed against this resource."
    return error("MethodNotAllowed", message, headers=headers, Method="GET", ResourceType="DeleteMarker")


def malformed() -> ServiceError:
    return error("MalformedXML", "The XML you provided was not well-formed or did not validate against our schema")


def lists_are_off() -> ServiceError:
    return error("AccessControlListNotSupported", "The bucket does not allow ACLs")


def both_stated() -> ServiceError:
    return error("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed")


def has_lists() -> ServiceError:
    message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
    return error("InvalidBucketAclWithObjectOwnership", message)


def no_such_upload(upload_id: str) -> ServiceError:
    message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted"
    return error("NoSuchUpload", f"{message} or completed.", UploadId=upload_id)


def invalid_argument(message: str, name: str, value: object) -> ServiceError:
    return error("InvalidArgument", message, ArgumentName=name, ArgumentValue=str(value)[:200])


def precondition_failed(condition: str) -> ServiceError:
    message = "At least one of the pre-conditions you specified did not hold"
    return error("PreconditionFailed", message, Condition=condition)


def not_implemented(message: str, header: str = "") -> ServiceError:
    fields = {"Header": header} if header else {}
    return ServiceError("NotImplemented", message, status=501, fields=fields)


def damaged() -> ServiceError:
    message = "The stored bytes of the object are damaged, so they are not given out. The place's log says which."
    return error("InternalError", message)


def lost() -> ServiceError:
    return error("InternalError", "The object's bytes are not where the index says")


@contextmanager
def disk() -> Iterator[None]:
    """What the disk refuses is our fault and may be tried again: S3's InternalError, which every SDK retries. So is
    ServiceUnavailable, where the disk is another endpoint's and cannot be reached."""
    try:
        yield
    except StorageFailed as problem:
        raise refused(problem) from problem


def refused(problem: StorageFailed) -> ServiceError:
    """As ``disk`` says it."""
    if isinstance(problem, StorageAway):
        message = "The storage behind this place cannot be reached now; nothing was changed. Please try again."
        return error("ServiceUnavailable", message)
    if isinstance(problem, Damaged):
        return damaged()
    return error("InternalError", "The storage could not take the request; nothing was changed")


@contextmanager
def upload() -> Iterator[None]:
    """A body that breaks off, or a disk that does."""
    try:
        with disk():
            yield
    except BodyError as problem:
        message = "You did not provide the number of bytes specified by the Content-Length HTTP header"
        raise error("IncompleteBody", message) from problem
