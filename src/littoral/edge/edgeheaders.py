"""Headers as Lambda@Edge functions see them, and which they may set: the rules by trigger. Pure.

Source: CloudFront developer guide, "Restrictions on edge functions", HTTP headers. *Disallowed* headers are not shown
to functions, and an answer that holds one is not valid; *read-only* ones are shown and must come back as they were.
"""

from __future__ import annotations

import re
from typing import Any

from littoral.edge.cloudfrontheaders import spelt
from littoral.net.message import Headers

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
NAME = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")


class InvalidAnswer(Exception):
    """The function's result is not what it may be; the message says which rule."""


def disallowed(name: str) -> bool:
    return name in DISALLOWED or name.startswith(DISALLOWED_PREFIXES)


def headers_document(headers: Headers) -> dict[str, list[dict[str, str]]]:
    """``{"name": [{"key", "value"}]}``, without what is not shown to functions."""
    document: dict[str, list[dict[str, str]]] = {}
    for name, value in headers.items():
        if not disallowed(name):
            document.setdefault(name, []).append({"key": canonical(name), "value": value})
    return document


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
    pairs: list[tuple[str, str]] = []
    for name, entries in document.items():
        if not isinstance(entries, list) or not NAME.match(name):
            raise InvalidAnswer(f"the header {name!r} must hold a list of key and value")
        for entry in entries:
            if not isinstance(entry, dict) or not isinstance(entry.get("value"), str):
                raise InvalidAnswer(f"the header {name!r} must hold a list of key and value")
            pairs.append((name.lower(), entry["value"]))
    if any(re.search(r"[\r\n\x00]", value) for _, value in pairs):
        raise InvalidAnswer("a header value holds a line end")
    try:
        return Headers.of(pairs)
    except UnicodeEncodeError as problem:
        raise InvalidAnswer("a header value is not Latin-1") from problem


def check_headers(kind: str, before: Headers, after: Headers) -> None:
    """Raises InvalidAnswer for a header that may not be set, or not be changed, at this trigger."""
    for name, value in after.items():
        if disallowed(name):
            raise InvalidAnswer(f"the header {name} may not be set")
        if kind == "viewer-request" and name == "cloudfront-viewer-country" and value not in before.get_all(name):
            raise InvalidAnswer(f"the header {name} may not be set at viewer-request")
    for name in READ_ONLY[kind]:
        if before.get_all(name) != after.get_all(name):
            raise InvalidAnswer(f"the header {name} is read-only at {kind}")


def with_hidden(before: Headers, after: Headers) -> Headers:
    """What a function was not shown stays as it was."""
    hidden = [(name, value) for name, value in before.raw if disallowed(name.decode("latin-1"))]
    return Headers([*after.raw, *hidden]) if hidden else after
