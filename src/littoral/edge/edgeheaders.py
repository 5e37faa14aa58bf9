"""Headers as Lambda@Edge functions see them, and which they may set: the rules by trigger. Pure.

Source: CloudFront developer guide, "Restrictions on edge functions", HTTP headers. *Disallowed* headers are not shown
to functions, and an answer that holds one is not valid; *read-only* ones are shown and must come back as they were.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from littoral.edge.cloudfrontheaders import spelt
from littoral.net.message import Headers, RawHeaders

DISALLOWED = frozenset(
    "connection expect keep-alive proxy-authenticate proxy-authorization proxy-connection trailer upgrade "
    "x-accel-buffering x-accel-charset x-accel-limit-rate x-accel-redirect x-amzn-auth x-amzn-cf-billing x-amzn-cf-id "
    "x-amzn-cf-xff x-amzn-errortype x-amzn-fle-profile x-amzn-header-count x-amzn-header-order "
    "x-amzn-lambda-integration-tag x-amzn-requestid x-cache x-forwarded-proto x-real-ip".split()
)
DISALLOWED_PREFIXES = ("x-amz-cf-", "x-edge-")
READ_ONLY = {
    "viewer-request": frozenset(("content-length", "host", "transfer-encoding", "via")),
    "origin-request": frozenset(
        "accept-encoding content-length if-modified-since if-none-match if-range if-unmodified-since "
        "transfer-encoding via".split()
    ),
    "origin-response": frozenset(("transfer-encoding", "via")),
    "viewer-response": frozenset(("content-length", "transfer-encoding", "warning", "via")),
    "generated": frozenset(("warning", "via")),
}
# of a generated response: how its body is framed is the edge's own business
FRAMING = ("content-length", "transfer-encoding")
NAME = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
LINE_END = re.compile(rb"[\r\n\x00]")
COUNTRY = b"cloudfront-viewer-country"
LONGEST_BLOCK = 2048  # characters of an answer's headers that are remembered whole
_decode = json.JSONDecoder().raw_decode
encode = json.JSONEncoder(separators=(",", ":")).encode
text_of = json.encoder.encode_basestring_ascii
_READ_ONLY = {kind: frozenset(name.encode() for name in names) for kind, names in READ_ONLY.items()}


class InvalidAnswer(Exception):
    """The function's result is not what it may be; the message says which rule."""

    page = "The Lambda function result failed validation"  # as CloudFront says it to viewers, before the message


class InvalidJson(InvalidAnswer):
    page = "The Lambda function returned invalid JSON"


class InvalidEntry(InvalidAnswer):
    page = "The Lambda function returned an invalid entry in the headers object"


def disallowed(name: str) -> bool:
    return name in DISALLOWED or name.startswith(DISALLOWED_PREFIXES)


def headers_document(headers: Headers) -> dict[str, list[dict[str, str]]]:
    """``{"name": [{"key", "value"}]}``, without what is not shown to functions."""
    document: dict[str, list[dict[str, str]]] = {}
    for name, value in headers.raw:
        shown = _shown(name)
        if shown is not None:
            text, key = shown
            entry = {"key": key, "value": value.decode("latin-1")}
            if text in document:
                document[text].append(entry)
            else:
                document[text] = [entry]
    return document


def headers_text(headers: Headers) -> str:
    """The same as JSON. A pair that came before is not written again."""
    raw = headers.raw
    texts = [_pair_before(pair) if len(pair[0]) + len(pair[1]) <= LONGEST_PAIR else _pair_now(pair) for pair in raw]
    if len(dict(raw)) < len(raw):  # some name more than once: its values are one member
        return encode(headers_document(headers))
    return f"{{{','.join(filter(None, texts))}}}"


def _pair_now(pair: tuple[bytes, bytes]) -> str:
    shown = _shown(pair[0])
    if shown is None:
        return ""
    text, key = shown
    return f'{text_of(text)}:[{{"key":{text_of(key)},"value":{text_of(pair[1].decode("latin-1"))}}}]'


def _shown(name: bytes) -> tuple[str, str] | None:
    """A header's name in lower case and as functions see it spelt; None for one that they do not see."""
    return _shown_before(name) if len(name) <= LONGEST_KEPT else _shown_now(name)


def _shown_now(name: bytes) -> tuple[str, str] | None:
    text = name.decode("latin-1")
    return None if disallowed(text) else (text, canonical(text))


# The same few headers come with every request; what viewers make up takes two megabytes at most.
LONGEST_KEPT, LONGEST_PAIR = 64, 256  # bytes
_shown_before = lru_cache(maxsize=2048)(_shown_now)
_pair_before = lru_cache(maxsize=2048)(_pair_now)


def canonical(name: str) -> str:
    """``x-amz-meta-a`` → ``X-Amz-Meta-A``: names come to us in lower case."""
    if name.startswith("cloudfront-"):
        return spelt(name)
    return "-".join(part.capitalize() for part in name.split("-"))


def read_headers(document: Any) -> Headers:
    """The other way round. ``key`` may be left out, or be another's: AWS's own example gives Last-Modified the entry of
    another header. Raises InvalidAnswer."""
    if document is None:
        return Headers([])
    if not isinstance(document, dict):
        raise InvalidAnswer("headers must be an object")
    pairs: RawHeaders = []
    for name, entries in document.items():
        if not isinstance(entries, list):
            raise _misshapen(name)
        for entry in entries or [_ABSENT]:
            value = entry.get("value") if isinstance(entry, dict) else None
            if not isinstance(value, str):
                raise _misshapen(name)
            pair = _read_before(name, value) if len(name) + len(value) <= LONGEST_PAIR else _read(name, value)
            if entry is not _ABSENT:
                pairs.append(pair)
    return Headers(pairs)


_ABSENT = {"value": ""}  # a name without a value is no header, but is checked


def _read(name: str, value: str) -> tuple[bytes, bytes]:
    if not NAME.match(name):
        raise _misshapen(name)
    try:
        wire = value.encode("latin-1")
    except UnicodeEncodeError as problem:
        raise InvalidEntry("a header value is not Latin-1") from problem
    if LINE_END.search(wire):
        raise InvalidEntry("a header value holds a line end")
    return name.lower().encode("ascii"), wire


def _misshapen(name: str) -> InvalidEntry:
    return InvalidEntry(f"the header {name!r} must hold a list of key and value")


_read_before = lru_cache(maxsize=2048)(_read)


@dataclass(frozen=True, slots=True)
class Allowed:
    """Headers of an answer, all of which may be set at that trigger."""

    kind: str
    raw: RawHeaders
    fixed: RawHeaders  # those that must be as they were
    countries: RawHeaders  # that must have been there, too

    @classmethod
    def of(cls, kind: str, headers: Headers) -> Allowed:
        """Raises InvalidAnswer for a header that may not be set."""
        for name, _ in headers.raw:
            if _shown(name) is None:
                raise InvalidEntry(f"the header {name.decode('latin-1')} may not be set")
        countries = [pair for pair in headers.raw if pair[0] == COUNTRY] if kind == "viewer-request" else []
        fixed = _READ_ONLY[kind]
        return cls(kind, headers.raw, [pair for pair in headers.raw if pair[0] in fixed], countries)

    def after(self, before: Headers) -> Headers:
        """What becomes of the headers before: those that a function was not shown stay as they were. Raises
        InvalidAnswer for one that may not be changed."""
        if self.countries and not all(pair in before.raw for pair in self.countries):
            raise InvalidEntry(f"the header {COUNTRY.decode()} may not be set at viewer-request")
        fixed = _READ_ONLY[self.kind]
        old = [pair for pair in before.raw if pair[0] in fixed]
        if old != self.fixed:
            _check_fixed(self.kind, old, self.fixed)
        return with_hidden(before, Headers(self.raw.copy()))


def known_block(kind: str, text: str) -> Allowed | None:
    """The headers that this text says, where it is a JSON object by itself and all of them may be set."""
    try:
        return _block_before(kind, text)
    except (ValueError, InvalidAnswer):  # which a closer look will say better
        return None


@lru_cache(maxsize=512)
def _block_before(kind: str, text: str) -> Allowed:
    document, end = _decode(text)
    if end != len(text):
        raise ValueError(text)
    return Allowed.of(kind, read_headers(document))


def _check_fixed(kind: str, old: RawHeaders, new: RawHeaders) -> None:
    """Their order among each other does not matter."""
    for name in {name for name, _ in old + new}:
        if [value for key, value in old if key == name] != [value for key, value in new if key == name]:
            raise InvalidEntry(f"the header {name.decode('latin-1')} is read-only at {kind}")


def with_hidden(before: Headers, after: Headers) -> Headers:
    """What a function was not shown stays as it was."""
    hidden = [pair for pair in before.raw if _shown(pair[0]) is None]
    return Headers([*after.raw, *hidden]) if hidden else after
