"""HTTP request to event and result to HTTP response: the payload format 2.0 of function URLs. Pure.

Source: Lambda developer guide, "Invoking Lambda function URLs", request and response payloads, and CORS.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from littoral.net.message import Headers, Response

TEXT = re.compile(r"(text/.*|application/(json|javascript|xml|[\w.-]+\+(json|xml)))(;.*)?", re.IGNORECASE)
OURS = frozenset(
    ("connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "trailer", "te", "date")
)
INTEGRATION = "application/vnd.awslambda.http-integration-response"  # a stream that begins with a prelude
PRELUDE_END = bytes(8)
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class Asked:
    """What an event is made of, beside the request's headers and body."""

    method: str
    path: str
    query: str
    host: str
    source: str  # the caller's address
    url_id: str
    request_id: str
    account: str  # "anonymous", or the caller's account
    now: float
    authorizer: Mapping[str, Any] | None = None
    tls: bool = False
    port: int = 80  # that the caller asked at


def event_of(asked: Asked, headers: Headers, body: bytes) -> dict[str, Any]:
    joined: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in headers.items():
        if name == "cookie":
            cookies += [part.strip() for part in value.split(";") if part.strip()]
        elif name != "authorization" or asked.authorizer is None:  # a signature is not the function's business
            joined[name] = f"{joined[name]},{value}" if name in joined else value
    joined["x-forwarded-for"] = asked.source  # ours: what a caller claims of itself is not passed on
    joined["x-forwarded-proto"] = "https" if asked.tls else "http"
    joined["x-forwarded-port"] = str(asked.port)
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(asked.query, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": asked.path,
        "rawQueryString": asked.query,
        "headers": joined,
        "requestContext": _context(asked, joined),
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if parameters:
        event["queryStringParameters"] = parameters
    if body:
        text = _text(body) if TEXT.fullmatch(joined.get("content-type", "")) else None
        event["isBase64Encoded"] = text is None
        event["body"] = base64.b64encode(body).decode() if text is None else text
    return event


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _context(asked: Asked, headers: Mapping[str, str]) -> dict[str, Any]:
    context: dict[str, Any] = {
        "accountId": asked.account,
        "apiId": asked.url_id,
        "domainName": asked.host,
        "domainPrefix": asked.url_id,
        "http": {
            "method": asked.method,
            "path": asked.path,
            "protocol": "HTTP/1.1",
            "sourceIp": asked.source,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": asked.request_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": datetime.fromtimestamp(asked.now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(asked.now * 1000),
    }
    if asked.authorizer is not None:
        context["authorizer"] = dict(asked.authorizer)
    return context


class BadAnswer(ValueError):
    """The function's result is no HTTP response."""


def response_of(payload: bytes) -> Response:
    """A result with ``statusCode`` says how to answer; any other is the body of a 200. Raises BadAnswer."""
    head, end, rest = payload.partition(PRELUDE_END)
    if end:  # a streaming function's answer, gathered
        response = prelude_of(head)
        response.body = rest
        return response
    try:
        result = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise BadAnswer("the result is not JSON") from error
    if not isinstance(result, dict) or "statusCode" not in result:
        body = result.encode() if isinstance(result, str) else payload
        return Response(200, Headers.of([("content-type", "application/json")]), body)
    response = _head_of(result, "application/json")
    response.body = _body(result)
    return response


def prelude_of(text: bytes) -> Response:
    """What a streaming function said before its body: status, headers and cookies. Raises BadAnswer."""
    try:
        prelude = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadAnswer("the prelude is not JSON") from error
    if not isinstance(prelude, dict):
        raise BadAnswer("the prelude is not an object")
    return _head_of({"statusCode": 200, **prelude}, "application/octet-stream")


def _head_of(result: Mapping[str, Any], content_type: str) -> Response:
    headers = Headers.of([("content-type", content_type)])
    for name, value in _pairs(result.get("headers")):
        headers.set(name, value)
    cookies = result.get("cookies") or []
    if not isinstance(cookies, list) or not all(_is_sayable(each) for each in cookies):
        raise BadAnswer("cookies are not a list of strings")
    for cookie in cookies:
        headers.add("set-cookie", cookie)
    return Response(_status(result["statusCode"]), headers)


def _status(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch("[0-9]{3}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 200 <= value <= 599:
        raise BadAnswer("statusCode is not a status")
    return value


def _pairs(headers: Any) -> list[tuple[str, str]]:
    if headers is None:
        return []
    if not isinstance(headers, dict):
        raise BadAnswer("headers are not an object")
    pairs = []
    for name, value in headers.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if not TOKEN.fullmatch(name) or not _is_sayable(text):
            raise BadAnswer(f"the header {name[:50]!r} cannot be sent")
        if name.lower() not in OURS:
            pairs.append((name, text))
    return pairs


def _is_sayable(text: Any) -> bool:
    """Whether a header can hold it: Latin-1 without control characters."""
    return isinstance(text, str) and text.isprintable() and all(ord(character) < 256 for character in text)


def _body(result: Mapping[str, Any]) -> bytes:
    body = result.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        return json.dumps(body).encode()
    if not result.get("isBase64Encoded"):
        return body.encode("utf-8", "replace")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:  # binascii.Error, and what is not ASCII
        raise BadAnswer("the body is not base64") from error


# ------------------------------------------------------------------------------------------------ CORS


def cors_headers(cors: Mapping[str, Any], origin: str) -> list[tuple[str, str]]:
    """What lets a page of ``origin`` read the answer; nothing when it may not."""
    allowed: Sequence[str] = cors.get("AllowOrigins") or []
    if "*" not in allowed and origin not in allowed:
        return []
    credentials = bool(cors.get("AllowCredentials"))
    anyone = "*" in allowed and not credentials
    made = [("access-control-allow-origin", "*" if anyone else origin)]
    if not anyone:
        made.append(("vary", "Origin"))
    if credentials:
        made.append(("access-control-allow-credentials", "true"))
    if cors.get("ExposeHeaders"):
        made.append(("access-control-expose-headers", ",".join(cors["ExposeHeaders"])))
    return made


def preflight(cors: Mapping[str, Any], origin: str, headers: Headers) -> Response:
    """The answer to a browser that asks before it sends."""
    made = cors_headers(cors, origin)
    if made:
        methods = cors.get("AllowMethods") or []
        wanted = headers.get("access-control-request-method") or ""
        if "*" in methods or wanted in methods:
            made.append(("access-control-allow-methods", wanted if "*" in methods else ",".join(methods)))
        names = cors.get("AllowHeaders") or []
        asked = headers.get("access-control-request-headers")
        if names:
            made.append(("access-control-allow-headers", asked if "*" in names and asked else ",".join(names)))
        made.append(("access-control-max-age", str(cors.get("MaxAge") or 0)))
    return Response(200, Headers.of(made))
