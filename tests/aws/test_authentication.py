"""Signatures as botocore makes them, taken whole and refused in every tampered form, by S3 and by a JSON service."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from littoral.aws.gateway import Gateway
from littoral.aws.identity import AccessKey, Identity
from littoral.aws.registry import NotInTheModel, operations
from littoral.aws.service import Call, Output, operation
from littoral.net.message import BytesBody, Headers, Peer, Request, Response
from littoral.protocols import sigv4
from littoral.protocols.awschunked import BadChunkSignature, Decoder, MalformedChunk
from littoral.store.contract import StorageFailed

KEY = AccessKey("AKIATEST", "secret/with+signs")
HOST = "127.0.0.1:4566"


class Objects:
    """Just enough of S3 to see what arrives."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.trailers: dict[str, str] = {}

    @operation()
    async def put_object(
        self, call: Call, *, bucket: str, key: str, body: Any = None, checksum_algorithm: str | None = None
    ) -> Output:
        data = await body.read() if body is not None else b""
        self.stored[f"{bucket}/{key}"] = data
        self.trailers = dict(call.trailers)
        return {}

    @operation()
    async def get_object(self, call: Call, *, bucket: str, key: str) -> Output:
        if key == "broken":
            raise RuntimeError("the secret reason")
        if key == "full":
            raise StorageFailed("no space left on device")
        return {"Body": self.stored.get(f"{bucket}/{key}", b"nothing")}


class Lambda:
    @operation()
    async def list_functions(self, call: Call, *, marker: str | None = None) -> Output:
        return {"Functions": []}

    @operation(harmless={"Description"})
    async def publish_version(self, call: Call, *, function_name: str) -> Output:
        return {"FunctionName": function_name}


class Setting:
    """A gateway whose clock the test holds."""

    def __init__(self) -> None:
        self.now = 1_780_000_000.0
        self.objects = Objects()
        services = {"s3": self.objects, "lambda": Lambda()}
        identity = Identity(KEY, "000000000000", verify=True)
        self.gateway = Gateway(services, identity, region="us-east-1", account="0" * 12, clock=lambda: self.now)

    def send(self, request: Request) -> Response:
        async def answer() -> Response:
            result = self.gateway.handle(request)
            return result if isinstance(result, Response) else await result  # type: ignore[misc]

        return asyncio.run(answer())

    def signed(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        service: str = "s3",
        headers: dict[str, str] | None = None,
        presign: int | None = None,
        key: AccessKey = KEY,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Request:
        """As botocore signs it at this setting's time."""
        moment = datetime.datetime.fromtimestamp(self.now, datetime.UTC)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_a, **_k: moment.replace(tzinfo=None))
        request = AWSRequest(method, f"http://{HOST}{path}", headers={"host": HOST, **(headers or {})}, data=body)
        credentials = Credentials(key.id, key.secret)
        if presign is not None:
            signer = S3SigV4QueryAuth if service == "s3" else SigV4QueryAuth
            signer(credentials, service, "us-east-1", expires=presign).add_auth(request)
        else:
            (S3SigV4Auth if service == "s3" else SigV4Auth)(credentials, service, "us-east-1").add_auth(request)
        parts = urlsplit(request.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        pairs = [(name, str(value)) for name, value in request.headers.items()]
        return wire(method, target, body, pairs)


def wire(method: str, target: str, body: bytes, pairs: list[tuple[str, str]]) -> Request:
    return Request(method, target, Headers.of(pairs), BytesBody(body), Peer("127.0.0.1", 1))


@pytest.fixture
def setting() -> Setting:
    return Setting()


def code(response: Response) -> str:
    """The error's code, in either shape."""
    found = response.headers.get("x-amzn-errortype")
    if found is not None:
        return found
    assert isinstance(response.body, bytes)
    return response.body.decode().partition("<Code>")[2].partition("</Code>")[0]


@pytest.mark.parametrize(
    "path", ["/b/plain", "/b/a%20b", "/b/a%2Fb//c", "/b/%C3%BC", "/b/k?partNumber=1&uploadId=x%2By"]
)
def test_s3_header_and_presigned(setting: Setting, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    signed = setting.signed("GET", path.partition("?")[0], monkeypatch=monkeypatch)
    assert setting.send(signed).status == 200
    presigned = setting.signed("GET", path.partition("?")[0], presign=60, monkeypatch=monkeypatch)
    assert setting.send(presigned).status == 200


@pytest.mark.parametrize("path", ["/2015-03-31/functions/", "/2015-03-31/functions/?Marker=a%20b%2B"])
def test_json_service_header_and_presigned(setting: Setting, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    assert setting.send(setting.signed("GET", path, service="lambda", monkeypatch=monkeypatch)).status == 200
    assert (
        setting.send(setting.signed("GET", path, service="lambda", presign=60, monkeypatch=monkeypatch)).status == 200
    )


Tamper = Callable[[Request], None]


def change_body(request: Request) -> None:
    request.body = BytesBody(b"other")


def change_header(name: str, value: str) -> Tamper:
    return lambda request: request.headers.set(name, value)


def change_target(text: str) -> Tamper:
    def tamper(request: Request) -> None:
        request.target += text

    return tamper


def edit_authorization(old: str, new: str) -> Tamper:
    def tamper(request: Request) -> None:
        header = request.headers.get("authorization") or ""
        assert old in header
        request.headers.set("authorization", header.replace(old, new))

    return tamper


TAMPERED: list[tuple[str, Tamper, str, str]] = [
    ("path", change_target("x"), "SignatureDoesNotMatch", "InvalidSignatureException"),
    ("query", change_target("?versionId=1"), "SignatureDoesNotMatch", "InvalidSignatureException"),
    ("signed header", change_header("x-amz-meta-a", "2"), "SignatureDoesNotMatch", "InvalidSignatureException"),
    ("host", change_header("host", "evil.example"), "SignatureDoesNotMatch", "InvalidSignatureException"),
    ("key", edit_authorization("AKIATEST", "AKIANONE"), "InvalidAccessKeyId", "UnrecognizedClientException"),
    ("region", edit_authorization("us-east-1", "eu-west-1"), "SignatureDoesNotMatch", "InvalidSignatureException"),
    (
        "no signature",
        edit_authorization("Signature=", "Nothing="),
        "AuthorizationHeaderMalformed",
        "IncompleteSignatureException",
    ),
    (
        "algorithm",
        edit_authorization("AWS4-HMAC-SHA256", "AWS9"),
        "AuthorizationHeaderMalformed",
        "IncompleteSignatureException",
    ),
    (
        "no host signed",
        edit_authorization("SignedHeaders=host;", "SignedHeaders="),
        "AuthorizationHeaderMalformed",
        "IncompleteSignatureException",
    ),
    ("date", change_header("x-amz-date", "yesterday"), "AuthorizationHeaderMalformed", "IncompleteSignatureException"),
]


@pytest.mark.parametrize(("_what", "tamper", "expected", "_other"), TAMPERED)
def test_s3_refuses_what_was_tampered_with(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, _what: str, tamper: Tamper, expected: str, _other: str
) -> None:
    request = setting.signed("PUT", "/b/k", b"body", headers={"x-amz-meta-a": "1"}, monkeypatch=monkeypatch)
    tamper(request)
    response = setting.send(request)
    assert (code(response), response.status in {400, 403}) == (expected, True)
    assert setting.objects.stored == {}


@pytest.mark.parametrize(("what", "tamper", "_s3", "expected"), TAMPERED)
def test_a_json_service_refuses_it_in_its_own_words(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, what: str, tamper: Tamper, _s3: str, expected: str
) -> None:
    path = "/2015-03-31/functions/f/versions"
    request = setting.signed(
        "POST", path, b"{}", service="lambda", headers={"x-amz-meta-a": "1"}, monkeypatch=monkeypatch
    )
    tamper(request)
    response = setting.send(request)
    if what == "path":
        assert response.status in {403, 404}
    else:
        assert code(response) == expected


def test_a_body_that_is_not_what_was_signed(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    request = setting.signed("PUT", "/b/k", b"body", monkeypatch=monkeypatch)
    change_body(request)
    assert code(setting.send(request)) == "XAmzContentSHA256Mismatch"
    assert setting.objects.stored == {}
    request = setting.signed(
        "POST", "/2015-03-31/functions/f/versions", b"{}", service="lambda", monkeypatch=monkeypatch
    )
    change_body(request)
    assert code(setting.send(request)) == "InvalidSignatureException"


@pytest.mark.parametrize("shift", [-16 * 60, 16 * 60])
def test_clock_skew(setting: Setting, monkeypatch: pytest.MonkeyPatch, shift: float) -> None:
    request = setting.signed("GET", "/b/k", monkeypatch=monkeypatch)
    other = setting.signed("GET", "/2015-03-31/functions/", service="lambda", monkeypatch=monkeypatch)
    setting.now += shift
    assert code(setting.send(request)) == "RequestTimeTooSkewed"
    assert code(setting.send(other)) == "InvalidSignatureException"


def test_fourteen_minutes_are_allowed(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    request = setting.signed("GET", "/b/k", monkeypatch=monkeypatch)
    setting.now += 14 * 60
    assert setting.send(request).status == 200


def test_a_presigned_url_expires(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    request = setting.signed("GET", "/b/k", presign=60, monkeypatch=monkeypatch)
    setting.now += 61
    response = setting.send(request)
    assert (response.status, code(response)) == (403, "AccessDenied")
    assert b"Request has expired" in response.body  # type: ignore[operator]


def test_a_presigned_url_is_for_its_method_and_key_only(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    request = setting.signed("GET", "/b/k", presign=60, monkeypatch=monkeypatch)
    for method, target in (("PUT", request.target), ("GET", request.target.replace("/b/k", "/b/other"))):
        assert code(setting.send(wire(method, target, b"", [("host", HOST)]))) == "SignatureDoesNotMatch"


PRESIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A/20261130/us-east-1/s3/aws4_request"
    "&X-Amz-Date=20261130T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=1"
)


def test_unsigned_requests_are_refused(setting: Setting) -> None:
    assert code(setting.send(wire("GET", "/b/k", b"", [("host", HOST)]))) == "AccessDenied"
    for query in ("X-Amz-Signature=1", f"{PRESIGNED}&X-Amz-Expires=604801", f"{PRESIGNED}&X-Amz-Expires=soon"):
        target = wire("GET", f"/b/k?{query}", b"", [("host", HOST)])
        assert code(setting.send(target)) == "AuthorizationQueryParametersError"


def test_the_query_protocol_has_its_own_names(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    form = {"content-type": "application/x-www-form-urlencoded"}
    for key, expected in (
        (KEY, ""),
        (AccessKey("AKIATEST", "wrong"), "SignatureDoesNotMatch"),
        (AccessKey("AKIANONE", "wrong"), "InvalidClientTokenId"),
    ):
        request = setting.signed("POST", "/", body, service="sts", headers=form, key=key, monkeypatch=monkeypatch)
        assert code(setting.send(request)) == expected


def test_an_unsigned_call_is_refused_by_the_service_it_is_for(setting: Setting) -> None:
    response = setting.send(wire("GET", "/2015-03-31/functions/", b"", [("host", HOST)]))
    assert (response.status, code(response)) == (403, "MissingAuthenticationTokenException")


def test_s3_wants_the_hash_of_the_payload(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    request = setting.signed("PUT", "/b/k", b"body", monkeypatch=monkeypatch)
    request.headers.remove("x-amz-content-sha256")
    assert code(setting.send(request)) == "InvalidRequest"


# ------------------------------------------------------------------------------------------- aws-chunked


def chunked(
    setting: Setting,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    chunks: list[bytes],
    trailers: dict[str, str] | None = None,
    edit: Callable[[bytes], bytes] = lambda body: body,
    length: int | None = None,
) -> Request:
    """A request in aws-chunked coding, its chunks signed as the S3 reference describes."""
    size = sum(map(len, chunks)) if length is None else length
    headers = {
        "x-amz-content-sha256": kind,
        "x-amz-decoded-content-length": str(size),
    }
    monkeypatch.setattr(S3SigV4Auth, "payload", lambda _self, _request: kind)
    request = setting.signed("PUT", "/b/k", b"", headers=headers, monkeypatch=monkeypatch)
    monkeypatch.undo()
    authorization = request.headers.get("authorization") or ""
    previous = authorization.rpartition("Signature=")[2]
    stamp = request.headers.get("x-amz-date") or ""
    scope = f"{stamp[:8]}/us-east-1/s3/aws4_request"
    key = sigv4.signing_key(KEY.secret, stamp[:8], "us-east-1", "s3")
    signs = kind.startswith("STREAMING-AWS4")
    empty = hashlib.sha256(b"").hexdigest()

    def sign(text: str) -> str:
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    body = b""
    for chunk in [*chunks, b""]:
        line = f"{len(chunk):x}"
        if signs:
            digest = hashlib.sha256(chunk).hexdigest()
            previous = sign(f"AWS4-HMAC-SHA256-PAYLOAD\n{stamp}\n{scope}\n{previous}\n{empty}\n{digest}")
            line += f";chunk-signature={previous}"
        body += line.encode() + b"\r\n" + (chunk + b"\r\n" if chunk else b"")
    text = "".join(f"{name}:{value}\n" for name, value in (trailers or {}).items())
    body += text.replace("\n", "\r\n").encode()
    if signs and trailers:
        digest = hashlib.sha256(text.encode()).hexdigest()
        last = sign(f"AWS4-HMAC-SHA256-TRAILER\n{stamp}\n{scope}\n{previous}\n{digest}")
        body += f"x-amz-trailer-signature:{last}\r\n".encode()
    request.body = BytesBody(edit(body + b"\r\n"))
    return request


SIGNED, SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
TRAILERS = {"x-amz-checksum-crc32": "AAAAAA=="}


@pytest.mark.parametrize(
    ("kind", "trailers"), [(SIGNED, None), (SIGNED_TRAILER, TRAILERS), (UNSIGNED_TRAILER, TRAILERS)]
)
def test_streamed_bodies(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, kind: str, trailers: dict[str, str] | None
) -> None:
    chunks = [b"a" * 70_000, b"\r\n0\r\n", b"end"]
    assert setting.send(chunked(setting, monkeypatch, kind, chunks, trailers)).status == 200
    assert setting.objects.stored["b/k"] == b"".join(chunks)
    assert setting.objects.trailers == (trailers or {})


@pytest.mark.parametrize(
    ("edit", "kind", "expected"),
    [
        (lambda body: body.replace(b"hello", b"jello"), SIGNED, "SignatureDoesNotMatch"),
        (lambda body: body.replace(b"hello", b"jello"), SIGNED_TRAILER, "SignatureDoesNotMatch"),
        (lambda body: body.replace(b"AAAAAA==", b"BBBBBB=="), SIGNED_TRAILER, "SignatureDoesNotMatch"),
        (lambda body: body.partition(b"x-amz-trailer-signature")[0] + b"\r\n", SIGNED_TRAILER, "SignatureDoesNotMatch"),
        (lambda body: body[:-20], SIGNED, "IncompleteBody"),
        (lambda body: body.replace(b"5", b"z", 1), UNSIGNED_TRAILER, "InvalidRequest"),
        (lambda body: b"f" * 2000 + body, UNSIGNED_TRAILER, "InvalidRequest"),
        (lambda body: body + b"more", UNSIGNED_TRAILER, "InvalidRequest"),
    ],
)
def test_a_broken_stream_is_refused_and_nothing_kept(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, edit: Callable[[bytes], bytes], kind: str, expected: str
) -> None:
    trailers = TRAILERS if kind != SIGNED else None
    response = setting.send(chunked(setting, monkeypatch, kind, [b"hello"], trailers, edit))
    assert code(response) == expected
    assert setting.objects.stored == {}


def test_a_stream_of_another_length_than_said(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    request = chunked(setting, monkeypatch, UNSIGNED_TRAILER, [b"hello"], length=6)
    assert code(setting.send(request)) == "IncompleteBody"


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=5), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_any_split_of_a_stream_gives_the_same_bytes(chunks: list[bytes], cuts: list[int]) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\na:b\r\n\r\n"
    decoder = Decoder(None)
    found, at = b"", 0
    for index in range(len(body)):
        step = cuts[index % len(cuts)]
        if at >= len(body):
            break
        found += b"".join(decoder.feed(body[at : at + step]))
        at += step
    decoder.finish()
    assert (found, decoder.trailers, decoder.size) == (b"".join(chunks), {"a": "b"}, sum(map(len, chunks)))


@given(st.binary(max_size=300))
def test_junk_is_malformed_and_nothing_else(data: bytes) -> None:
    decoder = Decoder(lambda *_: False)
    try:
        decoder.feed(data)
        decoder.finish()
    except (MalformedChunk, BadChunkSignature):
        return
    raise AssertionError("an unsigned stream was taken")


# --------------------------------------------------------------------------------------------- the rest


def test_what_is_not_there_is_said(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    for method, path, service in (
        ("DELETE", "/b/k", "s3"),
        ("GET", "/2015-03-31/functions/f/policy", "lambda"),
    ):
        response = setting.send(setting.signed(method, path, service=service, monkeypatch=monkeypatch))
        assert (response.status, code(response)) == (501, "NotImplemented")
    request = setting.signed("PUT", "/b/k", b"", headers={"x-amz-storage-class": "GLACIER"}, monkeypatch=monkeypatch)
    response = setting.send(request)
    assert (response.status, code(response)) == (501, "NotImplemented")
    assert b"StorageClass" in response.body  # type: ignore[operator]
    request = setting.signed("GET", "/", service="timestream", monkeypatch=monkeypatch)
    assert setting.send(request).status == 501
    target = {"x-amz-target": "DynamoDB_20120810.ListTables"}
    request = setting.signed("POST", "/", b"{}", service="dynamodb", headers=target, monkeypatch=monkeypatch)
    response = setting.send(request)
    assert (response.status, json.loads(response.body)["__type"]) == (501, "NotImplemented")  # type: ignore[arg-type]


def test_a_harmless_member_is_taken(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/2015-03-31/functions/f/versions"
    request = setting.signed("POST", path, b'{"Description": "x"}', service="lambda", monkeypatch=monkeypatch)
    assert setting.send(request).status == 201


def test_our_faults_are_500_and_logged_under_the_request_id(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        response = setting.send(setting.signed("GET", "/b/broken", monkeypatch=monkeypatch))
    assert (response.status, code(response)) == (500, "InternalError")
    assert b"secret reason" not in response.body  # type: ignore[operator]
    assert (response.headers.get("x-amz-request-id") or "?") in caplog.text
    assert KEY.secret not in caplog.text
    full = setting.send(setting.signed("GET", "/b/full", monkeypatch=monkeypatch))
    assert (full.status, code(full)) == (503, "ServiceUnavailable")


def test_a_secret_is_in_no_representation() -> None:
    assert KEY.secret not in repr(KEY)
    assert KEY.secret not in repr(Identity(KEY, "0", verify=True))


def test_an_api_that_disagrees_with_its_model_does_not_start() -> None:
    class Wrong:
        @operation()
        async def make_bucket(self, call: Call) -> Output:
            return {}

        @operation(harmless={"Nonsense"})
        async def put_object(self, call: Call, *, bucket: str, kee: str, acl: str) -> Output:
            return {}

    with pytest.raises(NotInTheModel) as problem:
        operations("s3", Wrong())
    text = str(problem.value)
    assert all(part in text for part in ("make_bucket", "kee", "acl is optional", "Nonsense"))


class SlowBody:
    """A body that arrives in pieces."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"bo"
        yield b"dy"

    async def read(self, limit: int | None = None) -> bytes:
        return b"body"


def test_a_streamed_body_is_checked_at_its_end(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    request = setting.signed("PUT", "/b/k", b"body", monkeypatch=monkeypatch)
    request.body = SlowBody()
    assert setting.send(request).status == 200
    assert setting.objects.stored["b/k"] == b"body"


@pytest.mark.parametrize("header", ["x-amz-copy-source", "x-amz-acl", "x-amz-meta-a"])
def test_nobody_adds_a_header_to_what_another_signed(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    """A presigned PUT with a copy source of the holder's own would read any object of the signer."""
    presigned = setting.signed("PUT", "/b/k", presign=60, monkeypatch=monkeypatch)
    signed = setting.signed("PUT", "/b/k", b"body", monkeypatch=monkeypatch)
    for request in (presigned, signed):
        request.headers.set(header, "/b/secret")
        response = setting.send(request)
        assert (response.status, code(response)) == (403, "AccessDenied")
        assert f"<HeadersNotSigned>{header}<".encode() in response.body  # type: ignore[operator]
    assert setting.objects.stored == {}
    own = setting.signed("PUT", "/b/k", headers={"x-amz-meta-a": "1"}, presign=60, monkeypatch=monkeypatch)
    assert code(setting.send(own)) == "NotImplemented"  # it counts as sent: this API takes no metadata
