"""The server access logs of a bucket, and what each answered request adds to them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from littoral.aws.recognise import virtual_path
from littoral.aws.service import Answered, Call, Output, operation
from littoral.net.message import FileSlice, Response
from littoral.objects.access.acl import canonical_id
from littoral.objects.api.parts import Operations, Parts
from littoral.objects.errors import error, malformed, not_implemented
from littoral.objects.serverlogs.delivery import ServerLogs
from littoral.objects.serverlogs.line import Access


class LoggingOperations(Operations):
    logs: ServerLogs  # handed in as the capability is opened

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._removed: dict[str, int] = {}  # by the request's id: the size of what it took away, until it is answered

    @operation(
        harmless={"ContentMD5", "ChecksumAlgorithm"},
        notes="to a bucket of the same owner, whose policy is not asked; TargetGrants are refused",
    )
    async def put_bucket_logging(
        self,
        call: Call,
        *,
        bucket: str,
        bucket_logging_status: dict[str, Any],
        expected_bucket_owner: str | None = None,
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        wanted, held = bucket_logging_status.get("LoggingEnabled"), self._index.bucket(bucket)
        if wanted is None:
            await self._index.set_bucket(bucket, "logging", None)
            return {}
        if not wanted.get("TargetBucket") or wanted.get("TargetPrefix") is None:
            raise malformed()
        if wanted.get("TargetGrants"):
            raise not_implemented("TargetGrants: who may read logs is said by the policy of their bucket")
        form = wanted.get("TargetObjectKeyFormat") or {}
        if len(form) > 1:
            raise malformed()
        if not self._index.is_bucket(wanted["TargetBucket"]):
            raise error("InvalidTargetBucketForLogging", "The target bucket for logging does not exist")
        if self._index.bucket(wanted["TargetBucket"]).owner != held.owner:
            message = "The owner for the bucket to be logged and the target bucket must be the same."
            raise error("InvalidTargetBucketForLogging", message, TargetBucket=wanted["TargetBucket"])
        await self._index.set_bucket(bucket, "logging", json.dumps(wanted))
        return {}

    @operation()
    async def get_bucket_logging(self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        kept = self._index.bucket(bucket).logging
        return {} if kept is None else {"LoggingEnabled": json.loads(kept)}

    def answered(self, asked: Answered, response: Response) -> None:
        """Asked of every request to S3, after its operation."""
        if not self._index.logging:
            return
        path = virtual_path(asked.request)
        bucket = path[1:].partition("/")[0]
        removed = self._removed.pop(asked.request_id, None)
        if bucket in self._index.logging:
            access = self._access(asked, response, bucket, path, asked.request.method)
            self.logs.note(access if removed is None else replace(access, size=removed))

    def note_removed(self, call: Call, bucket: str, size: int | None) -> None:
        """What a DeleteObject took away, for the line that is written of it at once."""
        if size is not None and bucket in self._index.logging:
            self._removed[call.request_id] = size

    def answered_within(
        self, call: Call, bucket: str, key: str, response: Response, code: str, *, removed: int | None = None
    ) -> None:
        """And of each object that is read or removed with others in one request; ``code`` is its error's, ``removed``
        the size of what was."""
        if bucket not in self._index.logging:
            return
        asked = Answered(call.request, call.principal, call.request_id, code, 0.0, call.now)
        method = "GET" if call.operation == "GetObject" else "DELETE"
        access = self._access(asked, response, bucket, f"/{bucket}/{quote(key)}", method)
        self.logs.note(replace(access, batch=True, size=access.size if removed is None else removed))

    def _access(self, asked: Answered, response: Response, bucket: str, path: str, method: str) -> Access:
        request, headers, who = asked.request, response.headers, asked.principal
        sent = _length(response)
        if method == "PUT":
            size = request.headers.get("x-amz-decoded-content-length") or request.headers.get("content-length") or ""
        else:
            size = (headers.get("content-range") or "").rpartition("/")[2] or str(sent)
        of_object = response.status < 300 and path.count("/") > 1 and method in ("GET", "HEAD", "PUT")
        return Access(
            owner=canonical_id(self._index.bucket(bucket).owner or self._parts.account),
            bucket=bucket,
            at=request.received_at or asked.now,
            remote=request.peer.host,
            requester=who.arn if who is not None else "",
            request_id=asked.request_id,
            method=method,
            path=path,
            target=request.target,
            status=response.status,
            error=asked.error,
            sent=0 if method == "HEAD" else sent,
            size=int(size) if of_object and size.isdigit() else None,
            took=asked.took,
            headers=dict(request.headers.items()),
            version=headers.get("x-amz-version-id") or "",
            tls=request.peer.handshake,
        )


def _length(response: Response) -> int:
    """Of the body: what the answer says of one that streams."""
    if isinstance(response.body, bytes):
        return len(response.body) or int(response.headers.get("content-length") or 0)
    if isinstance(response.body, FileSlice):
        return response.body.length
    return int(response.headers.get("content-length") or 0)
