"""One request as one line of S3's server access log. Pure. ("Amazon S3 server access log format")

The times are of the moment at which the answer begins; a field with nothing to say is ``-``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import quote, unquote

SUBRESOURCES = {  # of the query, where the field is not its name in capitals
    "accelerate": "ACCELERATE",
    "delete": "MULTI_OBJECT_DELETE",
    "encryption": "ENCRYPTION",
    "littoral-objects": "LITTORAL_OBJECTS",
    "notification": "NOTIFICATION",
    "object-lock": "OBJECT_LOCK_CONFIGURATION",
    "ownershipControls": "OWNERSHIP_CONTROLS",
    "policy": "BUCKETPOLICY",
    "publicAccessBlock": "PUBLIC_ACCESS_BLOCK",
    "requestPayment": "REQUEST_PAYMENT",
    "versions": "BUCKETVERSIONS",
}
OTHERS = ("acl", "cors", "legal-hold", "lifecycle", "location", "logging", "replication", "retention", "versioning")


@dataclass(frozen=True, slots=True)
class Access:
    """``path`` begins with the bucket, as the client wrote it; ``size`` is of the object, where the answer tells."""

    owner: str
    bucket: str
    at: float
    remote: str
    requester: str
    request_id: str
    method: str
    path: str
    target: str
    status: int
    error: str
    sent: int
    size: int | None
    took: float  # seconds
    headers: dict[str, str]
    version: str
    tls: str
    batch: bool = False  # one of several of a request, as of DeleteObjects: what is the request's, its own line has


def line(access: Access) -> str:
    """Without its end."""
    key, headers = _key(access.path), access.headers
    signature, how = _signed(access)
    took = "" if access.batch else str(int(access.took * 1000))
    cipher = access.tls.split(":")
    secure = len(cipher) > 1
    fields = [
        access.owner,
        access.bucket,
        time.strftime("[%d/%b/%Y:%H:%M:%S +0000]", time.gmtime(access.at)),
        access.remote,
        access.requester,
        access.request_id,
        f"BATCH.{access.method}.OBJECT" if access.batch else _operation(access, key),
        quote(unquote(key), safe="/-_.~") if key else "",
        "" if access.batch else f'"{access.method} {_plain(access.target)} HTTP/1.1"',
        str(access.status),
        access.error,
        str(access.sent) if access.sent else "",
        "" if access.size is None else str(access.size),
        took,
        took,
        "" if access.batch else _quoted(headers.get("referer", "")),
        "" if access.batch else _quoted(headers.get("user-agent", "")),
        access.version,
        access.request_id,
        signature,
        cipher[1] if secure else "",
        how,
        headers.get("host", ""),
        cipher[0] if secure else "",
        "",  # access point
        "",  # whether a list was needed
    ]
    return " ".join(field or "-" for field in fields)


def _operation(access: Access, key: str) -> str:
    return operation(access.method, key, access.target.partition("?")[2], "x-amz-copy-source" in access.headers)


def operation(method: str, key: str, query: str, copies: bool) -> str:
    """REST.PUT.OBJECT and the like."""
    asked = {part.partition("=")[0] for part in query.split("&") if part}
    if "uploads" in asked:
        resource = "UPLOADS"
    elif "uploadId" in asked:
        resource = "PART" if "partNumber" in asked else "UPLOAD"
    elif "tagging" in asked:
        resource = "OBJECT_TAGGING" if key else "TAGGING"
    else:
        named = [SUBRESOURCES.get(each) or each.upper().replace("-", "_") for each in sorted(asked) if _known(each)]
        resource = named[0] if named else "OBJECT" if key else "BUCKET"
    verb = "COPY" if copies and resource in ("OBJECT", "PART") else method
    return f"REST.{verb}.{resource}"


def _known(name: str) -> bool:
    return name in SUBRESOURCES or name in OTHERS or name == "website"


def _key(path: str) -> str:
    return path.lstrip("/").partition("/")[2]


def _signed(access: Access) -> tuple[str, str]:
    """Signature version and authentication type."""
    authorization = access.headers.get("authorization", "")
    if authorization:
        return "SigV4" if authorization.startswith("AWS4") else "SigV2", "AuthHeader"
    query = access.target.partition("?")[2]
    if "X-Amz-Signature=" in query:
        return "SigV4", "QueryString"
    return ("SigV2", "QueryString") if "Signature=" in query else ("", "")


def _plain(text: str, also: str = "") -> str:
    """What would break a line, or the quotes around it, is encoded."""
    return "".join(each if ("!" <= each <= "~" and each != '"') or each in also else quote(each) for each in text)


def _quoted(text: str) -> str:
    return '"' + (_plain(text, " ") or "-") + '"'
