"""What every noun of the API shares: the parts it works with, and the checks of members that many operations have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import category
from urllib.parse import parse_qsl, unquote_plus

from littoral.aws.service import Call, ServiceError
from littoral.objects.access.acl import Acl, canned, canonical_id, from_headers, private
from littoral.objects.access.gate import Gate, denied
from littoral.objects.access.public import Block
from littoral.objects.cold import check_readable
from littoral.objects.conditions import DIGITS
from littoral.objects.content import Shelf
from littoral.objects.encryption import Keys
from littoral.objects.errors import both_stated, error, invalid_argument, lists_are_off
from littoral.objects.events import Origin
from littoral.objects.facts import Bucket, Facts, Stored, Tags
from littoral.objects.index import Index
from littoral.objects.mailsafe import decoded
from littoral.objects.names import check_key
from littoral.objects.versions import check_version

REPLICA_HEADER = "x-littoral-replica"  # the version that a write replicates
METADATA_LIMIT = 2048  # bytes of all names and values
MOST_TAGS, MOST_BUCKET_TAGS = 10, 50
_PLAIN_TAG = re.compile(r"[A-Za-z0-9 +\-=._:/@]*").fullmatch
DEFAULT_TYPE = "binary/octet-stream"


@dataclass(frozen=True, slots=True)
class Parts:
    index: Index
    shelf: Shelf
    keys: Keys
    gate: Gate
    region: str
    account: str
    closed: bool = True  # how buckets are made: without lists and without public access, as by AWS since April 2023

    def owner(self, account: str | None = None) -> dict[str, str]:
        """S3 names owners by a canonical id of 64 hex digits."""
        name = account or self.account
        return {"ID": canonical_id(name), "DisplayName": name}


class Operations:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._index = parts.index
        self._shelf = parts.shelf
        self._keys = parts.keys
        self._gate = parts.gate

    def _check_owner(self, bucket: str, expected: str | None) -> None:
        """Raises AccessDenied, NoSuchBucket."""
        if expected is not None and expected != (self._index.bucket(bucket).owner or self._parts.account):
            raise denied()

    def _readable(self, call: Call, bucket: str, key: str, version: str | None) -> Stored:
        """The object, and nothing that the caller was not admitted to. Raises AccessDenied, and as ``Index.get``."""
        if not call.admitted:
            return self._index.get(bucket, key, version)
        with self._index.moment():
            stored = self._index.get(bucket, key, version)
            self._gate.still(call, stored)
        return stored

    def _source(self, call: Call, bucket: str, key: str, version: str | None) -> Stored:
        """What is to be copied. Raises as ``_readable``, InvalidObjectState, and InvalidRequest for a delete marker."""
        try:
            source = self._readable(call, bucket, key, version)
        except ServiceError as refused:
            if refused.code != "MethodNotAllowed":
                raise
            message = "The source of a copy request may not specifically refer to a delete marker by version id."
            raise error("InvalidRequest", message) from None
        check_readable(source.facts, call.now)
        return source

    def _acl_of(self, call: Call, held: Bucket, acl: str | None, grants: dict[str, str]) -> Acl | None:
        """The list of a new object; None where it is its bucket's owner's alone. Raises AccessControlListNotSupported,
        InvalidRequest, AccessDenied."""
        owner = held.owner or self._parts.account
        writer = call.principal.account or owner
        if not held.lists_apply:
            if grants or acl not in (None, "bucket-owner-full-control"):
                raise lists_are_off()
            return None
        if grants and acl is not None:
            raise both_stated()
        if held.ownership == "BucketOwnerPreferred" and acl == "bucket-owner-full-control":
            writer = owner
        made = from_headers(grants, writer, self._displayed()) if grants else canned(acl or "private", writer, owner)
        self._check_public(held, made)
        return None if made == private(owner) else made

    def _owner_of(self, held: Bucket, facts: Facts) -> dict[str, str]:
        return self._parts.owner(facts.acl.owner if facts.acl is not None and held.lists_apply else held.owner)

    def _check_public(self, held: Bucket, made: Acl) -> None:
        """Raises AccessDenied."""
        if made.public and Block.load(held.public_block).blocks_lists:
            raise denied()

    def _displayed(self) -> dict[str, str]:
        """Known accounts by canonical id."""
        return {canonical_id(account): account for account in self._gate.accounts()}


def origin_of(call: Call) -> Origin:
    """Raises AccessDenied, InvalidArgument: that it is a replica may only one say who may do everything."""
    replica = call.request.headers.get(REPLICA_HEADER)
    if replica is not None:
        if call.principal.limited or call.principal.account != call.account:
            raise denied()
        check_version(replica)
    return Origin(call.principal.name or "ANONYMOUS", call.request.peer.host, call.request_id, call.now, replica)


def headers_in(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The headers that an object keeps, by the model's names. ``arguments`` are the
    operation's: its ``locals()``, as of ``checksums.stated_in``."""
    kept = {
        "ContentType": arguments["content_type"] or DEFAULT_TYPE,
        "CacheControl": arguments["cache_control"],
        "ContentDisposition": arguments["content_disposition"],
        "ContentEncoding": _without_framing(arguments["content_encoding"]),
        "ContentLanguage": arguments["content_language"],
        "Expires": arguments["expires"],
        "WebsiteRedirectLocation": checked_redirect(arguments["website_redirect_location"]),
    }
    return {name: value for name, value in kept.items() if value is not None and value != ""}


def checked_redirect(where: str | None) -> str | None:
    """Raises InvalidRedirectLocation."""
    if where and not where.startswith(("/", "http://", "https://")):
        message = "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."
        raise error("InvalidRedirectLocation", message)
    return where


def _without_framing(encoding: str | None) -> str | None:
    """``aws-chunked`` is how the body travelled, not what the object is; the rest stays as it was written."""
    if encoding is None:
        return None
    kept = [token for token in encoding.split(",") if token.strip().lower() not in ("aws-chunked", "")]
    return ",".join(kept).strip() or None


def checked_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Names in lower case and values decoded, as S3 stores them. Raises MetadataTooLarge."""
    kept = {name.lower(): decoded(value) for name, value in (metadata or {}).items()}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in kept.items())
    if size > METADATA_LIMIT:
        message = "Your metadata headers exceed the maximum allowed metadata size"
        raise error("MetadataTooLarge", message, Size=size, MaxSizeAllowed=METADATA_LIMIT)
    return kept


def object_tags(pairs: Sequence[tuple[str, str]]) -> Tags:
    """Raises InvalidTag, BadRequest."""
    if len(pairs) > MOST_TAGS:
        raise error("BadRequest", f"Object tags cannot be greater than {MOST_TAGS}")
    return _checked_tags(pairs, "Your TagKey cannot be prefixed with aws:")


def bucket_tags(pairs: Sequence[tuple[str, str]]) -> Tags:
    """Raises InvalidTag, BadRequest."""
    if len(pairs) > MOST_BUCKET_TAGS:
        raise error("BadRequest", f"Bucket tag count cannot be greater than {MOST_BUCKET_TAGS}")
    return _checked_tags(pairs, "System tags cannot be added/updated by requester")


def _checked_tags(pairs: Sequence[tuple[str, str]], of_aws: str) -> Tags:
    if len({name for name, _ in pairs}) != len(pairs):
        raise error("InvalidTag", "Cannot provide multiple Tags with the same key")
    for name, value in pairs:
        if not 1 <= len(name) <= 128 or not _taggable(name):
            raise error("InvalidTag", "The TagKey you have provided is invalid", TagKey=name[:200])
        if len(value) > 256 or not _taggable(value):
            raise error("InvalidTag", "The TagValue you have provided is invalid", TagValue=value[:300])
        if name.lower().startswith("aws:"):
            raise error("InvalidTag", of_aws, TagKey=name)
    return tuple(pairs)


def _taggable(text: str) -> bool:
    """Letters, numbers and spaces of any script, and a few signs."""
    return _PLAIN_TAG(text) is not None or all(each in "+-=._:/@" or category(each)[0] in "LMNZ" for each in text)


def tag_pairs(tag_set: Sequence[Mapping[str, str]] | None) -> list[tuple[str, str]]:
    return [(tag["Key"], tag["Value"]) for tag in tag_set or ()]


def header_tags(tagging: str | None) -> Tags:
    """x-amz-tagging: a query string. Raises InvalidArgument."""
    if not tagging:
        return ()
    pairs = parse_qsl(tagging, keep_blank_values=True)
    if not pairs or len({name for name, _ in pairs}) != len(pairs):
        message = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters"
        raise error("InvalidArgument", f"{message} without tag name duplicates.")
    return object_tags(pairs)


def source_of(copy_source: str) -> tuple[str, str, str | None]:
    """Bucket, key and version of CopySource, where a plus stands for a space. Raises InvalidArgument."""
    path, _, query = copy_source.partition("?versionId=")
    try:
        path = unquote_plus(path, errors="strict")
    except UnicodeDecodeError:
        raise invalid_argument("Invalid copy source encoding.", "x-amz-copy-source", copy_source[:200]) from None
    bucket, slash, key = path.removeprefix("/").partition("/")
    if not slash or not bucket or not key or bucket.startswith("arn:"):
        message = "Invalid copy source object key"
        raise error("InvalidArgument", message, ArgumentName="x-amz-copy-source", ArgumentValue=copy_source[:200])
    check_version(query or None)
    check_key(key)
    return bucket, key, query or None


def decoded_length(call: Call) -> int | None:
    """How many bytes the body will be once its framing is off, None for a form's file, whose end is in the form. Raises
    MissingContentLength, InvalidArgument."""
    if call.operation == "PostObject":
        return None
    headers = call.request.headers
    text = headers.get("x-amz-decoded-content-length") or headers.get("content-length")
    if text is None:
        raise error("MissingContentLength", "You must provide the Content-Length HTTP header.")
    if not text.isascii() or not text.isdigit() or len(text) > DIGITS:
        raise invalid_argument("The length of the body is not a number", "x-amz-decoded-content-length", text)
    return int(text)
