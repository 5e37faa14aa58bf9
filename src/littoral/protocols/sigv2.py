"""Signature Version 2 of S3 in a query string, which boto3 still makes for ``us-east-1`` unless it is told otherwise,
and in the forms that browsers upload by. ("Signing and authenticating REST requests (AWS signature version 2)")

The signature covers the method, the path, every x-amz-… field and the sub-resources of the query, but not the host.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import NamedTuple

SUBRESOURCES = frozenset(
    "acl accelerate cors delete encryption inventory legal-hold lifecycle location logging metrics notification"
    " object-lock ownershipControls partNumber policy policyStatus publicAccessBlock replication requestPayment restore"
    " retention select select-type tagging torrent uploadId uploads versionId versioning versions website"
    " response-cache-control response-content-disposition response-content-encoding response-content-language"
    " response-content-type response-expires".split()
)


_NEEDED = ("AWSAccessKeyId", "Signature", "Expires")


class Malformed(ValueError):
    """A claim that cannot be read."""


class Presigned(NamedTuple):
    """What a query string claims."""

    access_key: str
    signature: str
    expires: int  # Unix seconds


def is_claimed(query: Sequence[tuple[str, str]]) -> bool:
    """Whether a query string says that it is signed so. (The query protocol's own version 2 names itself.)"""
    names = {name for name, _ in query}
    return _NEEDED[0] in names and "SignatureVersion" not in names


def parse_presigned(query: Sequence[tuple[str, str]]) -> Presigned:
    """Of a query string that claims it. Raises Malformed."""
    found = dict(query)
    if not all(found.get(name) for name in _NEEDED):
        raise Malformed("Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
    access_key, signature, expires = (found[name] for name in _NEEDED)
    if not expires.isascii() or not expires.isdigit() or len(expires) > 20:
        raise Malformed(f"Invalid date (should be seconds since epoch): {expires[:100]}")
    return Presigned(access_key, signature, int(expires))


def string_to_sign(
    method: str, resource: str, query: Sequence[tuple[str, str]], fields: Mapping[str, str], expires: str
) -> str:
    """``resource`` is the raw path with the bucket in front; ``fields`` are header fields in lower case, those that
    the signer put into the query among them."""
    amz = "".join(f"{name}:{fields[name].strip()}\n" for name in sorted(fields) if name.startswith("x-amz-"))
    sub = sorted((name, value) for name, value in query if name in SUBRESOURCES)
    asked = "&".join(f"{name}={value}" if value else name for name, value in sub)
    head = f"{method}\n{fields.get('content-md5', '')}\n{fields.get('content-type', '')}\n{expires}\n"
    return f"{head}{amz}{resource}{'?' if asked else ''}{asked}"


def signature(secret: str, text: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()
