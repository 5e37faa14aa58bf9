"""Certificates of ACM at the edge: what TLS shows for a distribution's aliases, in the region and at a location."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.certificates.made import AUTHORITY, Brought, brought, names_in
from tests.edge.place import behaving, listed

from .conftest import Running, up

Start = Callable[..., Running]


def config(arn: str, *aliases: str, reference: str = "1", **changes: Any) -> dict[str, Any]:
    return {
        "CallerReference": reference,
        "Comment": "",
        "Enabled": True,
        "Aliases": listed([*aliases]),
        "Origins": listed(
            [{"Id": "o", "DomainName": "site.s3.amazonaws.com", "S3OriginConfig": {"OriginAccessIdentity": ""}}]
        ),
        "DefaultCacheBehavior": behaving(),
        "ViewerCertificate": {
            "ACMCertificateArn": arn,
            "SSLSupportMethod": "sni-only",
            "MinimumProtocolVersion": "TLSv1.2_2021",
        },
        **changes,
    }


def stocked(place: Running) -> Any:
    """A bucket to serve; the CloudFront client."""
    s3 = place.client("s3")
    s3.create_bucket(Bucket="site")
    s3.put_object(Bucket="site", Key="a.txt", Body=b"from the bucket")
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::site/*"}
    s3.delete_public_access_block(Bucket="site")
    s3.put_bucket_policy(Bucket="site", Policy=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    return place.client("cloudfront")


def deployed(cloudfront: Any, identifier: str) -> None:
    cloudfront.get_waiter("distribution_deployed").wait(Id=identifier, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})


def refused(code: str, ask: Callable[..., Any], **given: Any) -> str:
    with pytest.raises(ClientError) as problem:
        ask(**given)
    assert problem.value.response["Error"]["Code"] == code
    return str(problem.value.response["Error"]["Message"])


class Viewer:
    """One TLS connection to an edge location by a name; it believes one authority alone."""

    def __init__(self, port: int, name: str, authority: bytes) -> None:
        context = ssl.create_default_context(cadata=authority.decode())
        self._socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname=name)
        self._name = name
        self.certificate = self._socket.getpeercert(binary_form=True) or b""

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._name)
        connection.sock = self._socket
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        self._socket.close()


@contextmanager
def viewer(place: Running, name: str, authority: bytes) -> Iterator[Viewer]:
    with contextlib.closing(Viewer(place.port("edge-tls"), name, authority)) as made:
        yield made


def shows(place: Running, name: str, given: Brought, within: float = 0.0) -> None:
    """That it shows this very certificate, after some time."""
    deadline = time.monotonic() + within
    wanted = ssl.PEM_cert_to_DER_cert(given.certificate.decode())
    while True:
        with viewer(place, name, AUTHORITY.certificate_pem) as made:
            if made.certificate == wanted:
                return
        assert time.monotonic() < deadline, "another certificate is shown"
        time.sleep(0.05)


@pytest.mark.parametrize("front", ["off", "auto"])
def test_in_the_region(start: Start, tmp_path: Path, front: str) -> None:
    place = start("place", "--edge-front", front)
    acm, cloudfront = place.client("acm"), stocked(place)
    first, second = brought("shop.test", "*.shop.test"), brought("shop.test", "*.shop.test")
    arn = acm.import_certificate(**first.given)["CertificateArn"]
    made = cloudfront.create_distribution(DistributionConfig=config(arn, "shop.test", "*.shop.test"))["Distribution"]
    deployed(cloudfront, made["Id"])
    told = cloudfront.get_distribution_config(Id=made["Id"])
    shown = told["DistributionConfig"]["ViewerCertificate"]
    assert (shown["ACMCertificateArn"], shown["Certificate"], shown["CertificateSource"]) == (arn, arn, "acm")
    assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["InUseBy"] == [made["ARN"]]
    refused("ResourceInUseException", acm.delete_certificate, CertificateArn=arn)
    for name in ("shop.test", "eu.shop.test"):
        shows(place, name, first)
    ca = (tmp_path / "place" / "ca.pem").read_bytes()
    with viewer(place, made["DomainName"], ca) as own:  # the place's own, as CloudFront's for that name
        assert names_in(own.certificate) == {made["DomainName"]}
    with viewer(place, "shop.test", AUTHORITY.certificate_pem) as before:
        assert before.get("/a.txt") == (200, b"from the bucket")
        acm.import_certificate(**second.given, CertificateArn=arn)
        shows(place, "shop.test", second, within=10)
        assert before.get("/a.txt") == (200, b"from the bucket")  # the connection lives on
    # read, and written back with one change
    changed = told["DistributionConfig"] | {"Comment": "changed"}
    cloudfront.update_distribution(Id=made["Id"], DistributionConfig=changed, IfMatch=told["ETag"])


@pytest.mark.parametrize("front", ["off", "auto"])
def test_a_disabled_distribution_is_shown_as_cloudfronts_and_answered_403(
    start: Start, tmp_path: Path, front: str
) -> None:
    place = start("place", "--edge-front", front)
    disabled = config("", Enabled=False, ViewerCertificate={"CloudFrontDefaultCertificate": True})
    made = stocked(place).create_distribution(DistributionConfig=disabled)["Distribution"]
    ca = (tmp_path / "place" / "ca.pem").read_bytes()
    for name in (made["DomainName"], "d111111abcdef8.cloudfront.net"):
        with viewer(place, name, ca) as visitor:
            assert "*.cloudfront.net" in names_in(visitor.certificate)
            status, page = visitor.get("/a.txt")
            assert status == 403 and b"could not be satisfied" in page


def test_what_cloudfront_does_not_take(start: Start) -> None:
    place = start("place")
    acm, cloudfront = place.client("acm"), stocked(place)
    arn = acm.import_certificate(**brought("a.test").given)["CertificateArn"]
    create = cloudfront.create_distribution
    uncovered = config(arn, "a.test", "b.test")
    assert refused("InvalidViewerCertificate", create, DistributionConfig=uncovered).endswith("b.test")
    unknown = config(arn[:-12] + "0" * 12, "a.test")
    assert "doesn't exist" in refused("InvalidViewerCertificate", create, DistributionConfig=unknown)
    made = create(DistributionConfig=config(arn, "a.test"))["Distribution"]
    associate = cloudfront.associate_alias
    refused("InvalidViewerCertificate", associate, TargetDistributionId=made["Id"], Alias="b.test")


@pytest.mark.parametrize("front", ["off", "auto"])
def test_at_a_location(start: Start, tmp_path: Path, front: str) -> None:
    region = start("region", "--edge-port", "off", "--edge-tls-port", "off", kind="region")
    keys = str(tmp_path / "region" / "credentials")
    options = ("--upstream", region.api, "--upstream-credentials", keys, "--edge-front", front)
    edge = start("edge", *options, kind="edge")
    acm, cloudfront = region.client("acm"), stocked(region)
    first, second = brought("a.test"), brought("a.test")
    arn = acm.import_certificate(**first.given)["CertificateArn"]
    own = acm.request_certificate(DomainName="b.test", ValidationMethod="DNS")["CertificateArn"]
    ids = [
        cloudfront.create_distribution(DistributionConfig=config(each, name, reference=name))["Distribution"]["Id"]
        for each, name in ((arn, "a.test"), (own, "b.test"))
    ]
    for each in ids:
        deployed(cloudfront, each)
    shows(edge, "a.test", first)
    with viewer(edge, "b.test", (tmp_path / "region" / "ca.pem").read_bytes()) as issued:  # not the location's own CA
        assert names_in(issued.certificate) == {"b.test"}
    acm.import_certificate(**second.given, CertificateArn=arn)
    shows(edge, "a.test", second, within=10)

    # without the region, from the disk; where no key is in the clear
    region.process.stop()
    edge.process.stop()
    secrets = [each.key.splitlines()[1] for each in (first, second)]
    for file in tmp_path.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert not [secret for secret in secrets if secret in content], file
    again = up(tmp_path / "edge", *options, kind="edge")
    try:
        shows(again, "a.test", second)
    finally:
        again.process.stop()


def signed(place: Running, path: str, key: Credentials, body: bytes = b"") -> tuple[int, bytes]:
    """As a location asks: POST with a body, else GET."""
    request = AWSRequest("POST" if body else "GET", place.api + path, data=body)
    SigV4Auth(key, "littoral", "us-east-1").add_auth(request)
    asked = urllib.request.Request(place.api + path, body or None, dict(request.headers), method=request.method)
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as problem:
        return problem.code, problem.read()


def test_whose_key_is_no_place_s_gets_no_private_keys(start: Start) -> None:
    """The feed is for who signs; private keys are for the place's own account alone, and sealed."""
    place = start("place")
    acm, cloudfront = place.client("acm"), stocked(place)
    given = brought("a.test")
    arn = acm.import_certificate(**given.given)["CertificateArn"]
    cloudfront.create_distribution(DistributionConfig=config(arn, "a.test"))
    root = Credentials(place.access_key, place.secret_key)
    user, stranger = (
        Credentials(made["id"], made["secret"])
        for body in (b'{"user": "camera7"}', b'{"account": "111122223333"}')
        for made in [json.loads(signed(place, "/_littoral/keys", root, body)[1])]
    )
    state = json.loads(signed(place, "/_littoral/edge/desired?location=none", root)[1])
    fingerprint = state["viewerCertificates"][arn]
    path = f"/_littoral/edge/certificate?arn={quote(arn, safe='')}&fingerprint={fingerprint}"
    assert [signed(place, path, key)[0] for key in (user, stranger)] == [403, 403]
    status, body = signed(place, path, root)
    assert status == 200 and b"PRIVATE KEY" not in body and given.key.splitlines()[1] not in body
    assert signed(place, path.replace(fingerprint, "0" * 64), root)[0] == 404
