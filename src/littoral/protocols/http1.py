"""HTTP/1.1 heads: what a request head must satisfy beyond its grammar, and how a response head is written.

Owns: the checks that a tokenizer (httptools, which is llhttp) leaves open and that request smuggling lives on, and
the bytes of a response head. Knows no socket and no clock. The tokenizer already refuses bare LF and CR, obs-fold,
whitespace before a colon, NUL, repeated or odd Content-Length, Content-Length beside Transfer-Encoding and bad chunk
sizes; here are the rest:

======================================  ======  ==========================
check                                   answer  RFC 9112
======================================  ======  ==========================
exactly one valid Host (HTTP/1.1)       400     3.2
Content-Length below 2^63               400     6.3
no Transfer-Encoding in HTTP/1.0        400     6.1
Transfer-Encoding is "chunked" only     501     6.1
CONNECT, and methods that are not HTTP  501     3.2.3, RFC 9110 9.1
target in origin form, "*" or absolute  400     3.2 (absolute form must name the authority of Host)
versions other than 1.0 and 1.1         505     2.3
======================================  ======  ==========================

Bytes and number of headers are counted where the bytes arrive (``net.connection``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus

Pairs = Sequence[tuple[bytes, bytes]]

# What a server of resources speaks. llhttp also tokenizes CONNECT, PRI, SOURCE (Icecast) and the RTSP verbs.
_HTTP = "GET HEAD POST PUT DELETE OPTIONS PATCH TRACE"
_WEBDAV = "PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK SEARCH REPORT ACL BIND REBIND UNBIND LINK UNLINK MKCALENDAR"
_CACHES = "PURGE NOTIFY SUBSCRIBE UNSUBSCRIBE MERGE CHECKOUT MKACTIVITY"
METHODS: dict[bytes, str] = {name.encode(): name for name in f"{_HTTP} {_WEBDAV} {_CACHES}".split()}

LONGEST_BODY = 2**63 - 1  # bytes; what is beyond is taken for a negative number somewhere
CHUNKED = -1  # as a length: the body ends with a chunk of size nought

_HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z")
_ABSOLUTE = re.compile(rb"[hH][tT][tT][pP][sS]?://([^/?#]*)([^#]*)\Z")
_NUMBER_SIGN = ord("#")  # as a number: bytes within bytes cost ten times as much
_DECIDING = frozenset((b"transfer-encoding", b"expect", b"upgrade"))


class HeadRefused(Exception):
    """A head that must not be served. ``status`` is the answer; the connection closes after it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


# method · target in origin form or "*" · host, b"" when an HTTP/1.0 client sent none · length of the body in bytes, 0
# for none, CHUNKED when framed by chunks · whether 100 (Continue) is awaited, be it for 0 bytes that are announced ·
# value of Upgrade, b"" for none. A plain tuple: made for every request, and unpacked at once.
RequestHead = tuple[str, bytes, bytes, int, bool, bytes]


def check_request_head(
    method: bytes,
    version: str,
    target: bytes,
    headers: Pairs,
    trusted: bytes = b"",
    found: Mapping[bytes, bytes] | None = None,
) -> RequestHead:
    """The facts of a request head whose header names are in lower case; raises HeadRefused.

    ``trusted`` is a Host value already found valid on this connection, to be compared instead of matched again.
    ``found`` is ``dict(headers)``, for a caller that has made it already.
    """
    name = METHODS.get(method)
    if name is None:
        raise HeadRefused(501, "method not implemented")
    if version not in ("1.1", "1.0"):
        raise HeadRefused(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    if found is None:
        found = dict(headers)
    host = found.get(b"host")
    length = 0
    expects = False
    upgrade = b""
    if len(found) != len(headers) or not _DECIDING.isdisjoint(found):
        host, length, expects, upgrade = _decisive(version, headers)
    elif b"content-length" in found:
        length = _content_length(found[b"content-length"])
    if not host or host != trusted:
        host = _valid_host(host, version)
    if target[:1] != b"/" or _NUMBER_SIGN in target:
        target = _other_form(name, target, host)
    expects = expects and version == "1.1" and (length != 0 or b"content-length" in found)
    return name, target, host, length, expects, upgrade


def _decisive(version: str, headers: Pairs) -> tuple[bytes | None, int, bool, bytes]:
    """Host, length, expectation and upgrade, looking at every line: the long way, for requests with a name that
    comes twice or that say more of their body than its length."""
    host: bytes | None = None
    length = 0
    expects = False
    upgrade = b""
    for key, value in headers:
        if key == b"host":
            if host is not None:
                raise HeadRefused(400, "more than one Host")
            host = value
        elif key == b"content-length":
            length = _content_length(value)
        elif key == b"transfer-encoding":
            length = _transfer_coding(version, value)
        elif key == b"expect":
            expects = _expectation(value)
        elif key == b"upgrade":
            upgrade = value
    return host, length, expects, upgrade


def _content_length(value: bytes) -> int:
    length = int(value)
    if length > LONGEST_BODY:
        raise HeadRefused(400, "Content-Length is no length")
    return length


def _valid_host(host: bytes | None, version: str) -> bytes:
    if host is None:
        if version == "1.1":
            raise HeadRefused(400, "no Host")
        return b""
    if not _HOST.match(host):
        raise HeadRefused(400, "Host is not valid")
    return host


def _transfer_coding(version: str, value: bytes) -> int:
    if version == "1.0":
        raise HeadRefused(400, "Transfer-Encoding in HTTP/1.0")
    if value.lower() != b"chunked":
        raise HeadRefused(501, "only the chunked transfer coding is understood")
    return CHUNKED


def _expectation(value: bytes) -> bool:
    if value.lower() != b"100-continue":
        raise HeadRefused(417, "only 100-continue may be expected")
    return True


def _other_form(method: str, target: bytes, host: bytes) -> bytes:
    """Asterisk form as it is; absolute form as the origin form it stands for."""
    if target == b"*" and method == "OPTIONS":
        return target
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        raise HeadRefused(400, "request target is not valid")
    authority, rest = absolute.groups()
    if host and authority.lower() != host.lower():
        raise HeadRefused(400, "request target and Host name different authorities")
    if not _HOST.match(authority):
        raise HeadRefused(400, "request target has no valid authority")
    return rest if rest[:1] == b"/" else b"/" + rest


# ------------------------------------------------------------------------------------------- response heads

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_STATUS_LINES: dict[int, bytes] = {}
_BODILESS = frozenset((204, 304))


def status_line(status: int) -> bytes:
    """``HTTP/1.1 404 Not Found``, without a line end; ``ValueError`` outside 100-599."""
    line = _STATUS_LINES.get(status)
    if line is None:
        if not 100 <= status <= 599:
            raise ValueError(f"{status} is no HTTP status")
        line = f"HTTP/1.1 {status} {reason_phrase(status)}".encode("ascii")
        _STATUS_LINES[status] = line
    return line


def reason_phrase(status: int) -> str:
    """``Not Found`` for 404; ``Unassigned`` for a number that no RFC names."""
    return _REASONS.get(status, "Unassigned")


def has_no_body(status: int, method: str) -> bool:
    """RFC 9112 6.3: these answers end with their head whatever it says."""
    return method == "HEAD" or status in _BODILESS or status < 200


# Headers of a handler that need a second look; anything else is written as it is.
_SETTLED = frozenset((b"connection", b"transfer-encoding", b"content-length", b"date"))
_line = b": ".join
_block = b"\r\n".join


def response_head(status: int, headers: Pairs, date: bytes) -> tuple[bytes, int | None]:
    """Head and declared length of a response whose body comes in pieces. The head ends without a line end: the caller
    appends ``CRLF name: value`` lines of its own and the final ``CRLF CRLF``.

    Connection and Transfer-Encoding are dropped, for framing is the sender's; a Date of the handler (a cached
    answer's) is kept instead of ``date``. Raises ``ValueError`` for a header that would break out of its line."""
    length: int | None = None
    if not _SETTLED.isdisjoint(dict(headers)):
        headers, length, date = _settled(headers, date)
    head = _written(status, headers) + date
    return (head, None) if length is None else (head + b"\r\ncontent-length: %d" % length, length)


def whole_head(method: str, status: int, headers: Pairs, length: int, date: bytes, end: bytes = b"") -> bytes:
    """The head of an answer whose body of ``length`` bytes is at hand, with the one true Content-Length. A handler's
    own is kept where no body follows (HEAD, 304: what a GET would have had) and corrected elsewhere. ``end`` is what
    the caller would append (one formatting instead of two copies)."""
    if status < 200:
        raise ValueError(f"{status} is not a final status")
    declared: int | None = None
    if not _SETTLED.isdisjoint(dict(headers)):
        headers, declared, date = _settled(headers, date)
    head = _written(status, headers)
    if status in _BODILESS:
        if status == 204 or declared is None:
            return head + date + end
        length = declared
    elif declared is not None and method == "HEAD":
        length = declared
    return b"%b%b\r\ncontent-length: %d%b" % (head, date, length, end)


def prepared_head(status: int, headers: Pairs) -> bytes:
    """Status line and header lines, each ended by CRLF, to be written for many answers: checked once, here. Framing
    headers are dropped, a Date is kept. Raises ``ValueError`` as the other heads do."""
    if status < 200:
        raise ValueError(f"{status} is not a final status")
    return _written(status, _settled(headers, b"")[0]) + b"\r\n"


def framed_head(prepared: bytes, status: int, length: int | None, date: bytes, end: bytes = b"") -> bytes:
    """What ``whole_head`` and (``length`` None) ``response_head`` give, from a prepared head."""
    if prepared.find(b"\r\ndate: ") >= 0:  # half of what "in" takes
        date = b""
    if length is None or status in _BODILESS:
        return prepared[:-2] + date + end
    return b"%bcontent-length: %d%b%b" % (prepared, length, date, end)


def _written(status: int, headers: Pairs) -> bytes:
    head = _block((_STATUS_LINES.get(status) or status_line(status), *map(_line, headers)))
    # One pass in C: what goes missing without CR, LF and NUL must be the line ends that we wrote ourselves.
    if len(head) - len(head.translate(None, b"\r\n\0")) != 2 * len(headers):
        raise ValueError("a response header holds a line break or NUL")
    return head


def _settled(headers: Pairs, date: bytes) -> tuple[Pairs, int | None, bytes]:
    """The headers without framing, the length they declared, and the Date line still to write."""
    length: int | None = None
    kept: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if name not in _SETTLED:
            kept.append((name, value))
        elif name == b"date":
            kept.append((name, value))
            date = b""
        elif name == b"content-length":
            if not value.isdigit() or (length is not None and length != int(value)):
                raise ValueError("Content-Length of a response is not one number")
            length = int(value)
    return kept, length, date


def interim_head(status: int, headers: Pairs) -> bytes:
    """A whole interim response (RFC 9110 15.2), such as 103."""
    if not 100 <= status < 200 or status == 101:
        raise ValueError(f"{status} is not an interim status")
    return _written(status, [pair for pair in headers if pair[0] not in _SETTLED]) + b"\r\n\r\n"


# What says how the message is framed, routed, authenticated or kept comes too late in a trailer (RFC 9110 6.5.1).
_NOT_TRAILERS = frozenset(
    b"connection transfer-encoding content-length trailer host keep-alive upgrade te expect max-forwards range "
    b"authorization proxy-authorization proxy-authenticate www-authenticate cookie set-cookie age cache-control pragma "
    b"expires date location retry-after vary content-encoding content-type content-range".split()
)


def last_chunk(trailers: Pairs = ()) -> bytes:
    """The end of a chunked body, with the trailers that may be one. Raises ``ValueError`` for what would break out."""
    lines = [name + b": " + value for name, value in trailers if name not in _NOT_TRAILERS]
    text = b"".join(line + b"\r\n" for line in lines)
    if len(text) - len(text.translate(None, b"\r\n\0")) != 2 * len(lines):
        raise ValueError("a trailer holds a line break or NUL")
    return b"0\r\n" + text + b"\r\n"


# ------------------------------------------------------------------------------------------- request heads

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_TARGET = re.compile(r"[!-~]+\Z")
_OURS = frozenset((b"connection", b"transfer-encoding", b"keep-alive", b"proxy-connection", b"te", b"upgrade"))


def framing(length: int) -> bytes:
    """The header line of a body of that many bytes, or CHUNKED."""
    return b"transfer-encoding: chunked" if length == CHUNKED else b"content-length: %d" % length


def request_head(method: str, target: str, headers: Pairs, length: int | None, upgrade: str | None = None) -> bytes:
    """A client's request head, whole. ``length`` is the body's: 0 for none, None to send it in chunks.
    ``upgrade`` is the protocol to switch to. Headers of
    the connection itself are ours to write and are dropped. Raises ``ValueError`` for what would break its line."""
    if not _TOKEN.match(method) or not _TARGET.match(target):
        raise ValueError("the method or the target of the request is not valid")
    lines = [f"{method} {target} HTTP/1.1".encode("ascii")]
    lines += [name + b": " + value for name, value in headers if name not in _OURS and name != b"content-length"]
    if length is None:
        lines.append(b"transfer-encoding: chunked")
    elif length or method in ("POST", "PUT", "PATCH"):
        lines.append(b"content-length: %d" % length)
    if upgrade is not None:
        lines += [b"connection: Upgrade", b"upgrade: " + upgrade.encode("latin-1")]
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1 or b"\0" in head:
        raise ValueError("a request header holds a line break or NUL")
    return head + b"\r\n\r\n"
