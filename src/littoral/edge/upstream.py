"""Requests to origins: which headers go along, where an origin is, and how S3 is signed to.

Source: CloudFront developer guide, "Request and response behavior for custom / Amazon S3 origins".
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

from littoral.aws.sign import sign
from littoral.edge.plan import Behaviour, Origin, accepted_encoding, cookie_text, query_text
from littoral.edge.triggers import EdgeRequest
from littoral.net.client import (
    ClientResponse,
    ConnectFailed,
    HttpClient,
    OnInterim,
    RequestBody,
    RequestFailed,
    Timeout,
)
from littoral.net.message import Headers, Peer

HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    "upgrade expect host content-length".split()
)
NOT_SENT = HOP_BY_HOP - {"host"}
# Some origins read these as if "_" were "-" (CGI does): a second framing in disguise.
IN_DISGUISE = frozenset(name.replace("-", "_") for name in NOT_SENT if "-" in name)
# what CloudFront takes away on its own, unless a policy forwards it
ONLY_IF_ASKED = frozenset(
    "host accept accept-charset accept-language accept-encoding authorization cookie referer user-agent range if-range "
    "if-match if-none-match if-modified-since if-unmodified-since".split()
)
AGENT = "Amazon CloudFront"
# For the front alone: the authority to connect to, and its name for TLS, empty where there is none.
ORIGIN, ORIGIN_NAME = "littoral-origin", "littoral-origin-name"


class Credentials(Protocol):
    """What the edge location signs to S3 with."""

    @property
    def id(self) -> str: ...

    @property
    def secret(self) -> str: ...


@dataclass(slots=True)
class Upstream:
    """``s3_endpoint`` is where the place's buckets are; without it only custom origins can be reached."""

    client: HttpClient
    pop: str
    s3_endpoint: str | None = None
    credentials: Credentials | None = None
    region: str = "us-east-1"
    front: Path | None = None  # a Unix socket: what is sent there goes on over HTTP/2 (``site.front``)

    def outgoing(self, origin: Origin, behaviour: Behaviour, request: EdgeRequest, peer: Peer) -> EdgeRequest:
        """The request as it would go to the origin: what an origin-request function sees, and may change."""
        headers = forwarded(behaviour, request, peer, self.pop)
        if "host" not in headers or origin.bucket is not None or origin.here:
            headers.set("host", authority(origin, secure=is_secure(origin, peer)))
        query = forwarded_query(behaviour, request.querystring)
        asked, changed = request, request.origin_document
        parts = asked.method, asked.uri, query, headers, asked.client_ip, asked.body, asked.body_truncated
        return EdgeRequest(*parts, origin, changed)

    async def ask_http2(
        self, origin: Origin, request: EdgeRequest, peer: Peer, extra: list[tuple[str, str]], body: RequestBody
    ) -> ClientResponse:
        """One request of gRPC: the front speaks HTTP/2 to the origin, with trailers in both directions."""
        if self.front is None or origin.bucket is not None:
            raise ConnectFailed(f"{origin.domain}: HTTP/2 to an origin needs a front, and no S3 origin")
        secure = is_secure(origin, peer)
        headers = Headers([pair for pair in request.headers.raw if pair[0].decode("latin-1") not in NOT_SENT])
        port = origin.https_port if secure else origin.http_port
        where = [(ORIGIN, f"{origin.domain}:{port}"), (ORIGIN_NAME, origin.domain if secure else "")]
        for name, value in (*origin.headers, *extra, *where):
            headers.set(name, value)
        query = f"?{request.querystring}" if request.querystring else ""
        return await self.client.request(
            request.method,
            f"http://front{escaped(origin.path + request.uri)}{query}",
            headers=headers,
            body=body,
            address=self.front,
            connect_timeout=origin.connect_timeout,
            read_timeout=origin.read_timeout,
        )

    async def ask(
        self,
        origin: Origin,
        request: EdgeRequest,
        peer: Peer,
        extra: list[tuple[str, str]],
        body: RequestBody = None,
        upgrade: str | None = None,
        on_interim: OnInterim | None = None,
        tried: RequestFailed | None = None,
    ) -> ClientResponse:
        """One request to an origin, with its connection attempts, of which one may have come to ``tried``. Raises
        RequestFailed."""
        headers = self.sent(origin, request, extra)
        url = self.url(origin, request, peer)
        if origin.bucket is not None:
            self._sign(origin, request, url, headers, signed_body=body)
        elif origin.function_url:
            self._sign_for_lambda(origin, request, url, headers, body)
        attempts, again = origin.attempts, body is None or isinstance(body, bytes)
        unanswered = origin.bucket is None and request.method in {"GET", "HEAD"}  # then no answer in time is a failure
        while True:
            try:
                if tried is not None:
                    problem, tried = tried, None
                    raise problem
                return await self.client.request(
                    request.method,
                    url,
                    headers=headers,
                    body=body,
                    connect_timeout=origin.connect_timeout,
                    read_timeout=origin.read_timeout,
                    upgrade=upgrade,
                    on_interim=on_interim,
                )
            except (ConnectFailed, Timeout) as problem:
                attempts -= 1
                if attempts <= 0 or not again or not (unanswered or isinstance(problem, ConnectFailed)):
                    raise

    def url(self, origin: Origin, request: EdgeRequest, peer: Peer) -> str:
        query = request.querystring
        path = escaped(origin.path + request.uri) + (f"?{query}" if query else "")
        if origin.bucket is not None:
            if self.s3_endpoint is None:
                raise ConnectFailed(f"{origin.domain}: this edge location knows no S3 endpoint")
            return f"{self.s3_endpoint}/{origin.bucket}{path}"
        if origin.here and self.s3_endpoint is not None:
            return f"{self.s3_endpoint}{path}"
        return self.base(origin, peer) + path

    def base(self, origin: Origin, peer: Peer) -> str:
        """What URLs of a custom origin begin with."""
        secure = is_secure(origin, peer)
        scheme, port = ("https", origin.https_port) if secure else ("http", origin.http_port)
        return f"{scheme}://{origin.domain}:{port}"

    def sent(self, origin: Origin, request: EdgeRequest, extra: list[tuple[str, str]]) -> Headers:
        """The headers that go on the wire, but for a signature and for framing."""
        headers = Headers([pair for pair in request.headers.raw if pair[0].decode("latin-1") not in NOT_SENT])
        for name, value in (*origin.headers, *extra):
            headers.set(name, value)
        return headers

    def _sign(self, origin: Origin, request: EdgeRequest, url: str, headers: Headers, signed_body: RequestBody) -> None:
        headers.set("host", urlsplit(url).netloc)
        if _signs(origin, headers):
            if self.credentials is None:
                raise ConnectFailed(f"{origin.domain}: no credentials to sign with")
            sign(
                request.method,
                url,
                headers,
                access_key=self.credentials.id,
                secret=self.credentials.secret,
                service="s3",
                region=self.region,
                now=time.time(),
                payload=b"" if signed_body is None else None,
            )

    def _sign_for_lambda(
        self, origin: Origin, request: EdgeRequest, url: str, headers: Headers, body: RequestBody
    ) -> None:
        """For a function URL with AWS_IAM. The hash of a body that passes is the viewer's word, as with CloudFront."""
        if self.credentials is None or not _signs(origin, headers):
            return
        whole = body if isinstance(body, bytes) else b""
        said = headers.get("x-amz-content-sha256") or "" if body is not None and not isinstance(body, bytes) else ""
        sign(
            request.method,
            url,
            headers,
            access_key=self.credentials.id,
            secret=self.credentials.secret,
            service="lambda",
            region=origin.domain.split(".")[2],
            now=time.time(),
            payload=whole,
            payload_hash=said,
        )


def _signs(origin: Origin, headers: Headers) -> bool:
    """Whether the origin's access control has the edge sign this request."""
    return origin.signing == "always" or (origin.signing == "no-override" and "authorization" not in headers)


def is_secure(origin: Origin, peer: Peer) -> bool:
    return origin.protocol_policy == "https-only" or (origin.protocol_policy == "match-viewer" and peer.tls)


def authority(origin: Origin, *, secure: bool) -> str:
    """The Host of an origin; the port only where it is not the scheme's own."""
    port = origin.https_port if secure else origin.http_port
    usual = origin.bucket is not None or origin.here or port == (443 if secure else 80)
    return origin.domain if usual else f"{origin.domain}:{port}"


def forwarded(behaviour: Behaviour, request: EdgeRequest, peer: Peer, pop: str) -> Headers:
    """The viewer's headers as the origin gets them."""
    kept: list[tuple[str, str]] = []
    chosen, key = behaviour.forward, behaviour.key
    has_body = request.method not in {"GET", "HEAD", "OPTIONS"}
    for name, value in request.headers.items():
        if name in NOT_SENT or name in IN_DISGUISE or name.startswith("x-amz-cf-"):
            continue
        if name.startswith("cloudfront-") and name not in behaviour.made:
            continue  # what the viewer says of itself under such a name
        asked = chosen.headers.takes(name) or key.headers.takes(name)
        if name == "cookie" or (name in ONLY_IF_ASKED and not asked):
            continue
        if asked or behaviour.legacy or (has_body and name.startswith("content-")) or name == "x-forwarded-for":
            kept.append((name, value))
    headers = Headers.of(kept)
    if "user-agent" not in headers:
        headers.set("user-agent", AGENT)
    cookie = cookie_text(request.headers, chosen.cookies, key.cookies)
    if cookie:
        headers.set("cookie", cookie)
    offered = accepted_encoding(request.headers, key)
    if offered:
        headers.set("accept-encoding", offered)
    seen = headers.get("x-forwarded-for")
    headers.set("x-forwarded-for", f"{seen}, {peer.host}" if seen else peer.host)
    headers.set("via", ", ".join([*request.headers.get_all("via"), f"1.1 {pop}.cloudfront.net (CloudFront)"]))
    return headers


def forwarded_query(behaviour: Behaviour, query: str) -> str:
    """What the key selects is always forwarded, and what the origin request policy adds."""
    return query_text(query, behaviour.forward.query, behaviour.key.query) if query else ""


def escaped(path: str) -> str:
    """A path that may go on a request line: what a function wrote unescaped is escaped, what is escaped stays."""
    return quote(path, safe="/%:@!$&'()*+,;=~-._") if not path.isascii() or " " in path else path
