"""Signature Version 4: against botocore's own signers, part by part, and what is not of the form."""

from __future__ import annotations

import datetime
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from littoral.aws.sign import sign
from littoral.net.message import Headers
from littoral.protocols import sigv4

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
PART = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


@given(
    st.sampled_from(["s3", "lambda"]),
    st.lists(PART, max_size=4),
    st.dictionaries(PART, PART, max_size=3),
    st.dictionaries(
        st.sampled_from(["x-amz-meta-a", "content-type", "x-other"]), st.text("a b\t,=é", max_size=9), max_size=3
    ),
)
def test_the_canonical_request_is_botocores(
    service: str, parts: list[str], query: dict[str, str], headers: dict[str, str]
) -> None:
    path = "/" + "/".join(quote(part, safe="-_.~") for part in parts)
    text = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query.items())
    url = f"http://host.example{path}" + (f"?{text}" if text else "")
    request = AWSRequest("PUT", url, headers={"host": "host.example", **headers}, data=b"body")
    signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(Credentials("K", "S"), service, "us-east-1")
    request.context["timestamp"] = MOMENT.strftime("%Y%m%dT%H%M%SZ")
    expected = signer.canonical_request(request)
    raw = Headers.of([("host", "host.example"), *headers.items()]).raw
    signed = sigv4.SignedHeaders.of(sorted(name for name, _ in raw))
    ours = sigv4.canonical_request(
        "PUT",
        sigv4.canonical_path(urlsplit(url).path, service),
        sigv4.canonical_query(sigv4.split_query(text)),
        sigv4.canonical_headers(sigv4.fields_of(raw), signed),
        signed,
        expected.rpartition("\n")[2],
    )
    assert ours == expected


def test_a_known_signature() -> None:
    """The GET of "Authenticating Requests: Using the Authorization Header" in the S3 API reference, to the digit."""
    empty = sigv4.EMPTY_SHA256
    fields = {
        b"host": b"examplebucket.s3.amazonaws.com",
        b"range": b"bytes=0-9",
        b"x-amz-content-sha256": empty.encode(),
        b"x-amz-date": b"20130524T000000Z",
    }
    signed = sigv4.SignedHeaders.of(fields)
    canonical = sigv4.canonical_request("GET", "/test.txt", "", sigv4.canonical_headers(fields, signed), signed, empty)
    key = sigv4.signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", "s3")
    scope = "20130524/us-east-1/s3/aws4_request"
    found = sigv4.signature(key, sigv4.string_to_sign("20130524T000000Z", scope, canonical))
    credential = sigv4.Credential("K", "20130524", "us-east-1", "s3")
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    assert sigv4.signature_of(canonical, secret, credential, "20130524T000000Z") == found
    assert found == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"


def test_our_own_signing_is_read_back() -> None:
    headers = Headers.of([("x-amz-meta-a", "1"), ("user-agent", "a proxy may change it")])
    now = MOMENT.timestamp()
    sign("PUT", "http://h/b/k", headers, access_key="A/B", secret="S", service="s3", region="r", now=now, payload=None)
    found = sigv4.parse_authorization(headers.get("authorization") or "", headers.get("x-amz-date") or "")
    assert found.claim.credential == sigv4.Credential("A/B", "20260102", "r", "s3")
    assert found.claim.headers.names == (b"host", b"x-amz-content-sha256", b"x-amz-date", b"x-amz-meta-a")


GOOD = "AWS4-HMAC-SHA256 Credential=K/20260102/r/s3/aws4_request, SignedHeaders=host, Signature=00"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic dTpw",
        GOOD.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        GOOD.replace("SignedHeaders=host, ", ""),
        GOOD.replace("Signature=00", "Signature="),
        GOOD.replace("aws4_request", "aws5_request"),
        GOOD.replace("20260102", "2026010"),
        GOOD.replace("K/20260102/r/s3/aws4_request", "K"),
    ],
)
def test_headers_that_are_not_of_the_form(header: str) -> None:
    assert sigv4.parse_authorization(GOOD, "").signature == "00"
    with pytest.raises(sigv4.MalformedSignature):
        sigv4.parse_authorization(header, "20260102T030405Z")


PRESIGNED = {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": "K/20260102/r/s3/aws4_request",
    "X-Amz-Date": "20260102T030405Z",
    "X-Amz-Expires": "60",
    "X-Amz-SignedHeaders": "host",
    "X-Amz-Signature": "00",
}


@pytest.mark.parametrize(
    "change",
    [
        {"X-Amz-Algorithm": "AWS9"},
        {"X-Amz-Credential": ""},
        {"X-Amz-Expires": "604801"},
        {"X-Amz-Expires": "-1"},
        {"X-Amz-Expires": "soon"},
        {"X-Amz-Expires": "²"},
        {"X-Amz-Signature": ""},
    ],
)
def test_queries_that_are_not_of_the_form(change: dict[str, str]) -> None:
    assert sigv4.parse_presigned(list(PRESIGNED.items())).expires == 60
    with pytest.raises(sigv4.MalformedSignature):
        sigv4.parse_presigned(list((PRESIGNED | change).items()))


@given(st.text(max_size=80), st.text(max_size=20))
def test_junk_is_malformed_and_nothing_else(header: str, stamp: str) -> None:
    with pytest.raises(sigv4.MalformedSignature):
        sigv4.parse_authorization(header, stamp)
    with pytest.raises(sigv4.MalformedSignature):
        sigv4.parse_authorization("AWS4-HMAC-SHA256 " + header, stamp)


def test_a_plus_in_a_query_is_a_space() -> None:
    pairs = sigv4.split_query("list-type=2&prefix=a+b%2Bc%20d&of+bed")
    assert pairs == [("list-type", "2"), ("prefix", "a b+c d"), ("of bed", "")]
    assert sigv4.canonical_query(pairs) == "list-type=2&of%20bed=&prefix=a%20b%2Bc%20d"
