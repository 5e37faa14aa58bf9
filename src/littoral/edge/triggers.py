"""Lambda@Edge, the part without IO: the event a function gets, and what its answer may change.

Sources: CloudFront developer guide, "Lambda@Edge event structure", "Restrictions on edge functions" and "HTTP status
codes ... from Lambda@Edge". An answer that breaks a rule is ``InvalidAnswer``: the viewer gets 502.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from littoral.edge.edgeheaders import (
    FRAMING,
    LONGEST_BLOCK,
    NAME,
    READ_ONLY,
    Allowed,
    InvalidAnswer,
    InvalidJson,
    disallowed,
    encode,
    headers_document,
    headers_text,
    known_block,
    read_headers,
    text_of,
)
from littoral.edge.plan import Origin, Trigger
from littoral.edge.plan.origin import is_website
from littoral.net.message import Headers
from littoral.protocols.http1 import reason_phrase

BODY_SHOWN = {"viewer-request": 40 * 1024, "origin-request": 1024 * 1024}  # bytes, before base64
REPLACED_TEXT = {"viewer-request": 40 * 1024, "origin-request": 1024 * 1024}
GENERATED = {"viewer-request": 40 * 1024, "origin-request": 1024 * 1024, "origin-response": 1024 * 1024}
GENERATED["viewer-response"] = 40 * 1024
MAX_URI = 8192
SSL_PROTOCOLS = ("SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2")
UNFIT = re.compile(r"[\x00-\x20\x7f#]")  # for a URI

_decode = json.JSONDecoder().raw_decode


@dataclass(slots=True)
class EdgeRequest:
    """A viewer's request on its way through the triggers."""

    method: str
    uri: str
    querystring: str
    headers: Headers
    client_ip: str
    body: bytes | None = None
    body_truncated: bool = False
    origin: Origin | None = None
    origin_document: dict[str, Any] | None = None  # what the function made of the origin, None when untouched


@dataclass(slots=True)
class EdgeResponse:
    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes | None = None  # None: not generated or replaced by a function
    description: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """The event's ``config``."""

    domain: str
    distribution: str
    request_id: str


def event(
    about: About, kind: str, trigger: Trigger, request: EdgeRequest, response: EdgeResponse | None = None
) -> bytes:
    """The payload of the invocation, written straight: a document in between would cost as much again."""
    parts = [
        _beginning(about.domain, about.distribution, kind),
        text_of(about.request_id),
        '},"request":{"clientIp":',
        text_of(request.client_ip),
        ',"headers":',
        headers_text(request.headers),
        ',"method":',
        text_of(request.method),
        ',"querystring":',
        text_of(request.querystring),
        ',"uri":',
        text_of(request.uri),
        *_members(kind, trigger, request),
    ]
    if response is not None:
        parts += (
            '},"response":{"status":',
            text_of(str(response.status)),
            ',"statusDescription":',
            text_of(response.description or reason_phrase(response.status)),
            ',"headers":',
            headers_text(response.headers),
        )
    parts.append("}}}]}")
    return "".join(parts).encode()


@lru_cache(maxsize=1024)
def _beginning(domain: str, distribution: str, kind: str) -> str:
    return (
        f'{{"Records":[{{"cf":{{"config":{{"distributionDomainName":{text_of(domain)},'
        f'"distributionId":{text_of(distribution)},"eventType":{text_of(kind)},"requestId":'
    )


def _members(kind: str, trigger: Trigger, request: EdgeRequest) -> Iterator[str]:
    """What only some requests show: the body, the origin."""
    if trigger.include_body and kind in BODY_SHOWN and request.body is not None:
        limit = BODY_SHOWN[kind]
        body = {
            "inputTruncated": request.body_truncated or len(request.body) > limit,
            "action": "read-only",
            "encoding": "base64",
            "data": base64.b64encode(request.body[:limit]).decode(),
        }
        yield ',"body":' + encode(body)
    if kind.startswith("origin-") and request.origin is not None:
        yield ',"origin":' + encode(request.origin_document or origin_document(request.origin))


def origin_document(origin: Origin) -> dict[str, Any]:
    custom_headers = headers_document(Headers.of(origin.headers))
    if origin.bucket is not None:
        return {
            "s3": {
                "authMethod": "origin-access-identity" if origin.signing == "always" else "none",
                "customHeaders": custom_headers,
                "domainName": origin.domain,
                "path": origin.path,
                "region": "us-east-1",
            }
        }
    secure = origin.protocol_policy == "https-only"
    return {
        "custom": {
            "customHeaders": custom_headers,
            "domainName": origin.domain,
            "keepaliveTimeout": origin.keepalive_timeout,
            "path": origin.path,
            "port": origin.https_port if secure else origin.http_port,
            "protocol": "https" if secure else "http",
            "readTimeout": int(origin.read_timeout),
            "sslProtocols": list(origin.ssl_protocols),
        }
    }


# ------------------------------------------------------------------------------------ what comes back


def apply_request(kind: str, payload: bytes, before: EdgeRequest) -> EdgeRequest | EdgeResponse:
    """Answer of a viewer-request or origin-request function: the request goes on, or is answered here.

    Raises InvalidAnswer.
    """
    answer, known = _with_known_headers(kind, payload)
    if "status" in answer:
        return _generated(kind, _object(payload) if known is not None else answer)
    method, uri, query = answer.get("method"), answer.get("uri"), answer.get("querystring", "")
    if method != before.method:
        raise InvalidAnswer("the method may not be changed")
    if not isinstance(uri, str) or not uri.startswith("/"):
        raise InvalidAnswer("uri must begin with a slash")
    if not isinstance(query, str) or len(uri) + len(query) >= MAX_URI:
        raise InvalidAnswer(f"uri and querystring together must have less than {MAX_URI} characters")
    if UNFIT.search(uri) or UNFIT.search(query):
        raise InvalidAnswer("uri and querystring may hold no spaces, control characters or #")
    if known is None:
        known = Allowed.of(kind, read_headers(answer.get("headers")))
    headers = known.after(before.headers)
    changed = EdgeRequest(
        before.method, uri, query, headers, before.client_ip, before.body, before.body_truncated, before.origin
    )
    _take_body(kind, answer.get("body"), changed)
    if kind == "origin-request" and before.origin is not None:
        given = answer.get("origin")
        changed.origin_document = given if given != origin_document(before.origin) else None
        if given is not None:
            check_origin(given)
    return changed


def apply_response(kind: str, payload: bytes, before: EdgeResponse) -> EdgeResponse:
    """Answer of an origin-response or viewer-response function. Raises InvalidAnswer."""
    answer = _object(payload)
    status = _status(answer)
    if kind == "viewer-response" and status != before.status:
        raise InvalidAnswer("viewer-response may not change the status")
    headers = Allowed.of(kind, read_headers(answer.get("headers"))).after(before.headers)
    changed = EdgeResponse(status, headers, before.body, str(answer.get("statusDescription", "")))
    if "body" in answer:
        if kind == "viewer-response":
            raise InvalidAnswer("viewer-response may not change the body")
        changed.body = _body(kind, answer)
    return changed


def check_origin(document: Any) -> None:
    """Raises InvalidAnswer."""
    if not isinstance(document, dict) or len(document) != 1 or not set(document) <= {"s3", "custom"}:
        raise InvalidAnswer("origin must hold exactly one of s3 and custom")
    inner = next(iter(document.values()))
    if not isinstance(inner, dict) or not isinstance(inner.get("domainName"), str) or not inner["domainName"]:
        raise InvalidAnswer("origin needs a domainName")
    if not NAME.match(inner["domainName"]):
        raise InvalidAnswer("the origin's domainName is not a host name")
    path = inner.get("path", "")
    if not isinstance(path, str) or (path and (not path.startswith("/") or path.endswith("/"))):
        raise InvalidAnswer("the origin's path begins with a slash and does not end with one")
    for name, _ in read_headers(inner.get("customHeaders")).items():
        if disallowed(name) or name in READ_ONLY["origin-request"]:
            raise InvalidAnswer(f"the origin's customHeaders may not hold {name}")
    if "custom" not in document:
        if inner.get("authMethod", "none") not in {"none", "origin-access-identity"}:
            raise InvalidAnswer("the origin's authMethod is none or origin-access-identity")
        return
    if inner.get("protocol") not in {"http", "https"}:
        raise InvalidAnswer("a custom origin's protocol is http or https")
    port = inner.get("port", 80)
    if not isinstance(port, int) or not 0 < port < 65536:
        raise InvalidAnswer("the origin's port is a number up to 65535")
    for name in ("readTimeout", "keepaliveTimeout"):
        seconds = inner.get(name, 5)
        if not isinstance(seconds, int) or not 0 < seconds <= 120:
            raise InvalidAnswer(f"the origin's {name} is 1 to 120 seconds")
    versions = inner.get("sslProtocols", [])
    if not isinstance(versions, list) or not all(each in SSL_PROTOCOLS for each in versions):
        raise InvalidAnswer(f"the origin's sslProtocols are some of {', '.join(SSL_PROTOCOLS)}")


def switched_origin(document: Mapping[str, Any], before: Origin) -> Origin:
    """The origin that a function chose."""
    kind, inner = next(iter(document.items()))
    headers = tuple(read_headers(inner.get("customHeaders")).items())
    if kind == "s3":
        bucket = inner["domainName"].partition(".s3")[0]
        signing = "always" if inner.get("authMethod") == "origin-access-identity" else "no"
        return Origin(before.id, inner["domainName"], inner.get("path", ""), bucket, headers=headers, signing=signing)
    port = int(inner.get("port", 443 if inner["protocol"] == "https" else 80))
    return Origin(
        before.id,
        inner["domainName"],
        inner.get("path", ""),
        None,
        f"{inner['protocol']}-only",
        port,
        port,
        read_timeout=float(inner.get("readTimeout", 30)),
        headers=headers,
        website=is_website(inner["domainName"]),
    )


_APART = secrets.token_hex(16)  # stands for what is read another way: no function can name it


def _with_known_headers(kind: str, payload: bytes) -> tuple[dict[str, Any], Allowed | None]:
    """The answer, and its headers where the very same text of them has come before. A text that is one whole JSON
    object is the whole of a value wherever it begins one, so it is enough to find where it begins and ends."""
    try:
        text = payload.decode()
    except ValueError:
        return _object(payload), None
    at = text.find('"headers":') + len('"headers":')
    begin = at + 1 if text[at : at + 1] == " " else at
    end = text.find("]}", begin) + 2
    known = known_block(kind, text[begin:end]) if end - begin <= LONGEST_BLOCK else None
    if known is not None:
        answer = _object(f'{text[:begin]}"{_APART}"{text[end:]}'.encode())
        if answer.get("headers") == _APART:
            return answer, known
    return _object(payload), None


def _object(payload: bytes) -> dict[str, Any]:
    try:
        text = payload.decode()
        answer, end = _decode(text)  # runtimes write no space around
        if end < len(text):
            answer = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise InvalidJson("The JSON output is not parsable") from problem
    if not isinstance(answer, dict):
        raise InvalidJson("The JSON output must be an object type")
    return answer


def _status(answer: Mapping[str, Any]) -> int:
    text = str(answer.get("status", ""))
    if not text.isdigit() or not 200 <= int(text) <= 599:
        raise InvalidAnswer("status must be a number from 200 to 599")
    return int(text)


def _generated(kind: str, answer: Mapping[str, Any]) -> EdgeResponse:
    status = _status(answer)
    headers = read_headers(answer.get("headers"))
    headers = Allowed.of("generated", headers).after(Headers([]))
    for name in FRAMING:
        headers.remove(name)
    body = _body(kind, answer)
    if status == 204 and body:
        raise InvalidAnswer("a response of status 204 may have no body")
    size = len(body) + sum(len(name) + len(value) for name, value in headers.raw)
    if size > GENERATED[kind]:
        raise InvalidAnswer(f"a response generated at {kind} may have at most {GENERATED[kind]} bytes")
    return EdgeResponse(status, headers, body, str(answer.get("statusDescription", "")))


def _body(kind: str, answer: Mapping[str, Any]) -> bytes:
    text = answer.get("body", "")
    if not isinstance(text, str):
        raise InvalidAnswer("body must be text")
    body = _decoded("body", text, answer.get("bodyEncoding"))
    if len(body) > GENERATED[kind]:
        raise InvalidAnswer(f"a body made at {kind} may have at most {GENERATED[kind]} bytes")
    return body


def _decoded(name: str, text: str, encoding: Any) -> bytes:
    if encoding not in {None, "text", "base64"}:
        raise InvalidAnswer(f"the encoding of {name} is text or base64")
    if encoding != "base64":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise InvalidAnswer(f"{name} is not base64") from problem


def _take_body(kind: str, document: Any, request: EdgeRequest) -> None:
    if not isinstance(document, dict) or document.get("action") != "replace":
        return
    data = document.get("data", "")
    if not isinstance(data, str):
        raise InvalidAnswer("body.data must be text")
    body = _decoded("body.data", data, document.get("encoding"))
    if len(body) > REPLACED_TEXT[kind]:
        raise InvalidAnswer(f"a replaced body may have at most {REPLACED_TEXT[kind]} bytes")
    request.body, request.body_truncated = body, False
