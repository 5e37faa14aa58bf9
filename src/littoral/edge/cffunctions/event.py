"""The event of a CloudFront function, and what its answer makes of a request or a response.

Owns: the structure ("CloudFront Functions event structure") and its rules ("Restrictions on edge functions"). Knows no
engine. An answer that breaks a rule is ``InvalidAnswer``: the viewer gets 502. What the function leaves as it was is
not rebuilt, so that a query string or a header keeps its exact spelling.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from littoral.edge.edgeheaders import NAME, Allowed, InvalidAnswer, disallowed, with_hidden
from littoral.edge.triggers import About, EdgeRequest, EdgeResponse
from littoral.net.message import Headers

Document = dict[str, Any]
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

MAX_BODY = 40 * 1024  # bytes that a function may make
MAX_URI = 8192
UNFIT = re.compile(r"[\x00-\x20\x7f]")
PLAIN = re.compile(r"[A-Za-z0-9/%:@!$&'()*+,;=~._-]*")  # needs no quoting
FRAMING = frozenset((b"content-length", b"transfer-encoding", b"connection", b"date", b"keep-alive"))
OWN = FRAMING | {b"via", b"x-cache", b"x-amz-cf-pop", b"x-amz-cf-id", b"age"}  # of the edge: not the function's
SAFE = "/%:@!$&'()*+,;=~-._"
REASONS = {status.value: status.phrase for status in HTTPStatus}


def event_text(about: About, kind: str, viewer: str, request: Document, response: Document | None = None) -> str:
    """The event, as JSON."""
    event: Document = {
        "version": "1.0",
        "context": {
            "distributionDomainName": about.domain,
            "distributionId": about.distribution,
            "eventType": kind,
            "requestId": about.request_id,
        },
        "viewer": {"ip": viewer},
        "request": request,
    }
    if response is not None:
        event["response"] = response
    return _encode(event)


def request_document(request: EdgeRequest) -> Document:
    headers: Document = {}
    cookies: Document = {}
    for raw, value in request.headers.raw:
        if raw == b"cookie":
            for part in value.decode("latin-1").split(";"):
                name, _, text = part.strip().partition("=")
                if name:
                    _add(cookies, name, {"value": text})
        elif shown_name := _shown(raw):
            entry = {"value": value.decode("latin-1")}
            if shown_name in headers:
                _add(headers, shown_name, entry)
            else:
                headers[shown_name] = entry
    query: Document = {}
    for part in request.querystring.split("&") if request.querystring else ():
        name, _, text = part.partition("=")
        _add(query, name, {"value": text})
    return {
        "method": request.method,
        "uri": request.uri,
        "querystring": query,
        "headers": headers,
        "cookies": cookies,
    }


def response_document(response: EdgeResponse) -> Document:
    headers: Document = {}
    cookies: Document = {}
    for raw, value in response.headers.raw:
        if raw == b"set-cookie":
            pair, _, attributes = value.decode("latin-1").partition(";")
            name, _, text = pair.strip().partition("=")
            entry = {"value": text, **({"attributes": attributes.strip()} if attributes else {})}
            _add(cookies, name, entry)
        elif raw not in OWN and (shown_name := _shown(raw)):
            _add(headers, shown_name, {"value": value.decode("latin-1")})
    return {
        "statusCode": response.status,
        "statusDescription": response.description or REASONS.get(response.status, ""),
        "headers": headers,
        "cookies": cookies,
    }


@lru_cache(maxsize=4096)
def _shown(raw: bytes) -> str:
    """The name of a header that functions see; "" for the others."""
    name = raw.decode("latin-1")
    return "" if disallowed(name) else name


def _add(document: Document, name: str, entry: Document) -> None:
    """A name that comes again has all of its values in ``multiValue``, the first of them in ``value``."""
    first = document.get(name)
    if first is None:
        document[name] = entry
    elif "multiValue" in first:
        first["multiValue"].append(entry)
    else:
        first["multiValue"] = [dict(first), entry]


# ------------------------------------------------------------------------------------ what comes back


def is_response(result: Document) -> bool:
    return "statusCode" in result


def changed_request(result: Document, given: Document, before: EdgeRequest) -> EdgeRequest:
    """``given`` is what the event showed of ``before``. Raises InvalidAnswer."""
    if result.get("method") != given["method"]:
        raise InvalidAnswer("the method may not be changed")
    uri = result.get("uri")
    if not isinstance(uri, str) or not uri.startswith("/") or UNFIT.search(uri):
        raise InvalidAnswer("uri must begin with a slash and hold no spaces or control characters")
    if uri != given["uri"] and not PLAIN.fullmatch(uri):
        uri = quote(uri, safe=SAFE)
    query = result.get("querystring", {})
    text = before.querystring if query == given["querystring"] else _query(query)
    if len(uri) + len(text) > MAX_URI:
        raise InvalidAnswer(f"uri and querystring together may have at most {MAX_URI} characters")
    headers, cookies = result.get("headers", {}), result.get("cookies", {})
    if headers == given["headers"] and cookies == given["cookies"]:
        kept = before.headers
    else:
        kept = _request_headers(headers, cookies, given, before)
    return EdgeRequest(
        before.method, uri, text, kept, before.client_ip, before.body, before.body_truncated, before.origin
    )


def _request_headers(headers: Any, cookies: Any, given: Document, before: EdgeRequest) -> Headers:
    pairs = _pairs(headers)
    if any(name == "cookie" for name, _ in pairs):
        raise InvalidAnswer("cookies belong into the cookies object, not into headers")
    made = Headers.of(pairs)
    made = Allowed.of("viewer-request", made).after(before.headers)
    if cookies == given["cookies"]:
        made.raw += [pair for pair in before.headers.raw if pair[0] == b"cookie"]
    elif cookies:
        made.add("cookie", "; ".join(f"{name}={entry['value']}" for name, entry in _entries(cookies, "cookie")))
    return made


def _query(query: Any) -> str:
    if isinstance(query, str):
        text = query
    else:
        text = "&".join(f"{name}={entry['value']}" for name, entry in _entries(query, "query parameter"))
    return quote(text, safe=SAFE + "?")


def generated_response(result: Document) -> EdgeResponse:
    """A response that a viewer-request function made. Raises InvalidAnswer."""
    made = Headers.of(_pairs(result.get("headers", {})))
    made.raw = [pair for pair in made.raw if pair[0] not in FRAMING]
    _check_own(made)
    _add_cookies(made, result.get("cookies", {}))
    body = _body(result["body"]) if result.get("body") is not None else b""
    return EdgeResponse(_status(result), made, body, _description(result))


def changed_response(result: Document, given: Document, before: EdgeResponse) -> EdgeResponse:
    """What a viewer-response function made of ``before``: ``body`` is None unless it was replaced.

    Raises InvalidAnswer."""
    if not is_response(result):
        raise InvalidAnswer("a viewer-response function returns a response")
    headers, cookies = result.get("headers", {}), result.get("cookies", {})
    own = [pair for pair in before.headers.raw if pair[0] in OWN]
    if headers == given["headers"]:
        pairs = [pair for pair in before.headers.raw if pair[0] not in OWN and pair[0] != b"set-cookie"]
    else:
        made = Headers.of(_pairs(headers))
        made.raw = [pair for pair in made.raw if pair[0] not in OWN]
        _check_own(made)
        if before.headers.get_all("warning") != made.get_all("warning"):
            raise InvalidAnswer("the header warning is read-only at viewer-response")
        pairs = with_hidden(Headers([pair for pair in before.headers.raw if pair[0] not in OWN]), made).raw
    kept = Headers(pairs + own)
    if cookies == given["cookies"]:
        kept.raw += [pair for pair in before.headers.raw if pair[0] == b"set-cookie"]
    else:
        _add_cookies(kept, cookies)
    body = None
    if result.get("body") is not None:
        body = _body(result["body"])
        kept.raw = [pair for pair in kept.raw if pair[0] not in {b"content-length", b"content-encoding"}]
    return EdgeResponse(_status(result), kept, body, _description(result))


def _check_own(headers: Headers) -> None:
    for name, _ in headers.items():
        if disallowed(name) or name == "via":
            raise InvalidAnswer(f"the header {name} may not be set")
        if name == "set-cookie":
            raise InvalidAnswer("cookies belong into the cookies object, not into headers")


def _entries(document: Any, what: str) -> list[tuple[str, Document]]:
    """Name and entry, each of several values by itself."""
    if not isinstance(document, dict):
        raise InvalidAnswer(f"every {what} is a member of an object")
    found: list[tuple[str, Document]] = []
    for name, given in document.items():
        entry = {"value": given} if isinstance(given, str) else given
        if not isinstance(entry, dict):
            raise InvalidAnswer(f"the {what} {name!r} needs a value")
        several = entry.get("multiValue")
        for each in several if isinstance(several, list) and several else [entry]:
            if not isinstance(each, dict) or not isinstance(each.get("value"), (str, int, float)):
                raise InvalidAnswer(f"the {what} {name!r} needs a value")
            found.append((name, {**each, "value": _text(each["value"])}))
    if any(re.search(r"[\r\n\x00]", f"{name}{each['value']}{each.get('attributes', '')}") for name, each in found):
        raise InvalidAnswer(f"a {what} holds a line end")
    return found


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _pairs(headers: Any) -> list[tuple[str, str]]:
    pairs = [(name, each["value"]) for name, each in _entries(headers, "header")]
    for name, value in pairs:
        if not NAME.match(name) or name != name.lower():
            raise InvalidAnswer(f"the header name {name!r} must be in lower case")
        try:
            value.encode("latin-1")
        except UnicodeEncodeError as problem:
            raise InvalidAnswer("a header value is not Latin-1") from problem
    return pairs


def _add_cookies(headers: Headers, cookies: Any) -> None:
    for name, each in _entries(cookies, "cookie"):
        attributes = each.get("attributes")
        line = f"{name}={each['value']}" + (f"; {attributes}" if attributes else "")
        try:
            headers.add("set-cookie", line)
        except UnicodeEncodeError as problem:
            raise InvalidAnswer("a cookie is not Latin-1") from problem


def _status(result: Document) -> int:
    status = result.get("statusCode")
    if isinstance(status, str) and status.isdigit():
        status = int(status)
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise InvalidAnswer("statusCode must be a number from 200 to 599")
    return status


def _description(result: Document) -> str:
    text = result.get("statusDescription", "")
    if not isinstance(text, str) or re.search(r"[^\t\x20-\x7e]", text):
        raise InvalidAnswer("statusDescription must be text in one line")
    return text


def _body(body: Any) -> bytes:
    if isinstance(body, str):
        body = {"encoding": "text", "data": body}
    if not isinstance(body, dict) or not isinstance(body.get("data"), str):
        raise InvalidAnswer("body needs data and encoding")
    if body.get("encoding", "text") == "base64":
        try:
            data = base64.b64decode(body["data"], validate=True)
        except (binascii.Error, ValueError) as problem:
            raise InvalidAnswer("body is not base64") from problem
    elif body.get("encoding", "text") == "text":
        data = body["data"].encode("utf-8", "replace")
    else:
        raise InvalidAnswer("the body's encoding is text or base64")
    if len(data) > MAX_BODY:
        raise InvalidAnswer(f"a body may have at most {MAX_BODY} bytes")
    return data
