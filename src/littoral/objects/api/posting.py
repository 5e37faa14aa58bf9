"""PostObject: a browser's form, which no model has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import unquote, urlencode

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from littoral.aws import models
from littoral.aws.escaping import escape
from littoral.aws.service import Call, Output
from littoral.aws.wire.unreadable import Unreadable
from littoral.aws.wire.xmlbody import Reader, Readers, load
from littoral.net.message import Body, BodyError, Headers, Request, Response
from littoral.objects.api.writing import WriteOperations
from littoral.objects.errors import error, invalid_argument, malformed, not_implemented
from littoral.objects.forms import MOST_FIELDS_BYTES, Policy, key_of
from littoral.objects.listing import encoded
from littoral.objects.names import check_key

Admitted = Callable[[Mapping[str, str]], Call]
MEMBERS = {  # of PutObject, and the field that each is
    "acl": "acl",
    "cache_control": "cache-control",
    "content_disposition": "content-disposition",
    "content_encoding": "content-encoding",
    "content_type": "content-type",
    "storage_class": "x-amz-storage-class",
    "website_redirect_location": "x-amz-website-redirect-location",
    "server_side_encryption": "x-amz-server-side-encryption",
    "ssekms_key_id": "x-amz-server-side-encryption-aws-kms-key-id",
    "sse_customer_algorithm": "x-amz-server-side-encryption-customer-algorithm",
    "sse_customer_key": "x-amz-server-side-encryption-customer-key",
    "sse_customer_key_md5": "x-amz-server-side-encryption-customer-key-md5",
    "checksum_algorithm": "x-amz-sdk-checksum-algorithm",
    "checksum_crc32": "x-amz-checksum-crc32",
    "checksum_crc32_c": "x-amz-checksum-crc32c",
    "checksum_crc64_nvme": "x-amz-checksum-crc64nvme",
    "checksum_sha1": "x-amz-checksum-sha1",
    "checksum_sha256": "x-amz-checksum-sha256",
    "checksum_sha512": "x-amz-checksum-sha512",
    "checksum_md5": "x-amz-checksum-md5",
    "checksum_xxhash64": "x-amz-checksum-xxhash64",
    "checksum_xxhash3": "x-amz-checksum-xxhash3",
    "checksum_xxhash128": "x-amz-checksum-xxhash128",
    "content_md5": "content-md5",
    "expires": "expires",
    "object_lock_mode": "x-amz-object-lock-mode",
    "object_lock_legal_hold_status": "x-amz-object-lock-legal-hold",
}
RETAINED = "x-amz-object-lock-retain-until-date"
GATED = {
    "acl": "ACL",
    "tagging": "Tagging",
    "server_side_encryption": "ServerSideEncryption",
    "object_lock_mode": "ObjectLockMode",
    "object_lock_retain_until_date": "ObjectLockRetainUntilDate",
    "object_lock_legal_hold_status": "ObjectLockLegalHoldStatus",
}
_BESIDE = (  # what is read elsewhere, or changes nothing here
    "algorithm credential date signature security-token object-lock-retain-until-date content-sha256 request-payer"
    " checksum-algorithm server-side-encryption-bucket-key-enabled"
).split()
_HONOURED = frozenset((*MEMBERS.values(), *(f"x-amz-{name}" for name in _BESIDE)))


class Form:
    """The fields of a form up to its file, and the file, which is read as it comes."""

    def __init__(self, body: Body, boundary: str) -> None:
        self._parser = PushMultipartParser(boundary)
        self._chunks = body.__aiter__()
        self._events: Iterator[Any] = iter(())
        self.fields: dict[str, str] = {}
        self.filename = ""
        self.policy: Policy | None = None

    async def open(self) -> None:
        """Read the fields. Raises MalformedPOSTRequest, MaxPostPreDataLengthExceededError, InvalidArgument."""
        name, data, size = "", bytearray(), 0
        async for event in self._read():
            if isinstance(event, MultipartSegment):
                name = event.name.lower()
                if name == "file":
                    self.filename = event.filename or ""
                    return
            elif event is None:
                self.fields[name] = data.decode("utf-8", "replace")
                data.clear()
            else:
                data += event
                size += len(event)
                if size > MOST_FIELDS_BYTES:
                    message = "Your POST request fields preceding the upload file were too large."
                    raise error("MaxPostPreDataLengthExceededError", message)
        raise invalid_argument("POST requires exactly one file upload per request.", "file", "0")

    async def _read(self) -> AsyncIterator[Any]:
        """MultipartSegment, bytes, None: as the parser has them."""
        try:
            while True:
                for event in self._events:
                    yield event
                chunk = await anext(self._chunks, b"")
                if not chunk and self._parser.closed:
                    return
                self._events = self._parser.parse(chunk)
        except MultipartError as problem:
            message = "The body of your POST request is not well-formed multipart/form-data."
            raise error("MalformedPOSTRequest", message) from problem

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The file; what comes behind it is not looked at."""
        size = 0
        async for event in self._read():
            if event is None:
                break
            size += len(event)
            if self.policy is not None:
                self.policy.check_size(size, whole=False)
            yield bytes(event)
        if self.policy is not None:
            self.policy.check_size(size, whole=True)
        async for _ in self._chunks:
            pass

    async def read(self, limit: int | None = None) -> bytes:
        """Raises BodyError: a file is never asked for whole."""
        raise BodyError("a form's file is read as it comes")


class PostOperations(WriteOperations):
    async def post_object(self, request: Request, path: str, admitted: Admitted) -> Response:
        """``admitted`` knows by the fields who signed the form, and makes the call of it. Raises ServiceError."""
        _, options = parse_options_header(request.headers.get("content-type") or "")
        if not options.get("boundary"):
            raise error("MalformedPOSTRequest", "The body of your POST request is not multipart/form-data.")
        bucket = unquote(path.strip("/"))
        self._index.bucket(bucket)
        form = Form(request.body, options["boundary"])
        await form.open()
        key = key_of(form.fields, form.filename)
        check_key(key)
        call = admitted(form.fields)
        if "policy" in form.fields:
            form.policy = Policy.parse(form.fields["policy"])
            form.policy.check({**form.fields, "key": key}, bucket, call.now)
        given = _members(form.fields)
        asked = {name: given[member] for member, name in GATED.items() if member in given}
        self._gate.admit(call, {"Bucket": bucket, "Key": key, **asked})
        output = await self.put_object(call, bucket=bucket, key=key, body=form, **given)
        return _answer(form.fields, call, bucket, key, output)


def _members(fields: Mapping[str, str]) -> dict[str, Any]:
    """What the fields are to PutObject. Raises InvalidArgument, MalformedXML, NotImplemented."""
    for name in fields:
        if name.startswith("x-amz-") and name not in _HONOURED and not name.startswith("x-amz-meta-"):
            raise not_implemented("A field you provided implies functionality that is not implemented", name[:100])
    given: dict[str, Any] = {member: fields[name] for member, name in MEMBERS.items() if fields.get(name)}
    metadata = {
        name.removeprefix("x-amz-meta-"): value for name, value in fields.items() if name.startswith("x-amz-meta-")
    }
    if metadata:
        given["metadata"] = metadata
    if fields.get(RETAINED):
        given["object_lock_retain_until_date"] = _moment(fields[RETAINED])
    if fields.get("tagging"):
        given["tagging"] = _tagging(fields["tagging"])
    return given


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid_argument("The retain until date must be provided in ISO 8601 format", RETAINED, text) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _tagging(text: str) -> str:
    """The document of a form's field, as the header of PutObject has it."""
    try:
        given = _reader()(load(text.encode()))
        return urlencode([(tag["Key"], tag["Value"]) for tag in given["TagSet"]])
    except (Unreadable, KeyError):
        raise malformed() from None


@cache
def _reader() -> Reader:
    return Readers().value(models.service_model("s3").shape_for("Tagging"), "Tagging")


def _answer(fields: Mapping[str, str], call: Call, bucket: str, key: str, output: Output) -> Response:
    etag = output["ETag"]
    location = f"{call.base_url}/{bucket}/{encoded(key, 'url')}"
    headers = Headers.of([("etag", etag), ("location", location)])
    if "VersionId" in output:
        headers.set("x-amz-version-id", output["VersionId"])
    redirect = fields.get("success_action_redirect") or fields.get("redirect")
    if redirect:
        more = urlencode({"bucket": bucket, "key": key, "etag": etag})
        headers.set("location", f"{redirect}{'&' if '?' in redirect else '?'}{more}")
        return Response(303, headers)
    status = fields.get("success_action_status")
    if status != "201":
        return Response(200 if status == "200" else 204, headers)
    headers.set("content-type", "application/xml")
    told = {"Location": location, "Bucket": bucket, "Key": key, "ETag": etag}
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in told.items())
    return Response(
        201, headers, f'<?xml version="1.0" encoding="UTF-8"?>\n<PostResponse>{inner}</PostResponse>'.encode()
    )
