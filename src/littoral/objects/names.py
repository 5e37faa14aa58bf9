"""Names of buckets and keys: what S3 accepts. Pure. ("Bucket naming rules", "Naming Amazon S3 objects")"""

from __future__ import annotations

import re

from littoral.objects.errors import error

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
KEY_LIMIT = 1024  # bytes of UTF-8


def check_bucket_name(bucket: str) -> None:
    """Raises InvalidBucketName."""
    proper = (
        _BUCKET.fullmatch(bucket)
        and ".." not in bucket
        and not _ADDRESS.fullmatch(bucket)
        and not bucket.startswith(_RESERVED_PREFIXES)
        and not bucket.endswith(_RESERVED_SUFFIXES)
    )
    if not proper:
        raise error("InvalidBucketName", "The specified bucket is not valid.", BucketName=bucket[:255])


def check_key(key: str) -> None:
    """Raises KeyTooLongError, InvalidArgument."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError as problem:
        raise error("InvalidArgument", "Object keys are UTF-8") from problem
    if size > KEY_LIMIT:
        raise error("KeyTooLongError", "Your key is too long", Size=size, MaxSizeAllowed=KEY_LIMIT)
    if not key or "\0" in key:
        raise error("InvalidArgument", "Object keys have at least one character and no NUL")
