"""Viewer mTLS at both TLS listeners, by curl; trust stores through boto3."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from littoral.edge.entrance import Entrance
from littoral.net.listen import listen_http
from littoral.net.pki import Authority
from littoral.net.tls import server_context
from littoral.site.certificates import Certificates, Contexts
from littoral.site.edgelistening import _ask_for_certificates, _authorities
from tests.edge.place import DISABLED, HOST, listed

from .conftest import Running, needs
from .fronted import Fronted, fronted, http3

NAMES = ["serial-number", "issuer", "subject", "validity", "present", "pem", "sha256"]
HEADERS = [f"CloudFront-Viewer-Cert-{name}" for name in NAMES]


@pytest_asyncio.fixture(params=["front", "own"])
async def place(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Fronted]:
    """The distribution of HOST asks for certificates of the devices' authority; open.example does not."""
    needs("curl")
    async with fronted(tmp_path) as made:
        devices, strangers = (Authority.load_or_create(tmp_path / name, name) for name in ("devices", "strangers"))
        for name, authority in (("device", devices), ("stranger", strangers)):
            issued = authority.issue_client("Bed 7")
            (tmp_path / f"{name}.pem").write_bytes(issued.certificate + issued.private_key)
        made.edge.policies["TS"] = {"certificates": devices.certificate_pem.decode()}
        made.edge.policies["P"] = {"HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": listed(HEADERS)}}
        if request.param == "front":
            yield made
            return
        pipeline = made.edge.pipeline
        own = Certificates(made.authority, ["localhost"])
        tls = server_context(own.own(), names=Contexts(own, pipeline.serves, _authorities(pipeline)))
        pipeline.on_use.append(lambda: _ask_for_certificates(tls, pipeline))
        listener = await listen_http(Entrance(pipeline).handle, tls=tls)
        made.other_port = listener.port
        yield made
        await listener.close(0)


async def serve(place: Fronted, mode: str) -> None:
    behaviour = {"CachePolicyId": DISABLED, "OriginRequestPolicyId": "P", "ViewerProtocolPolicy": "https-only"}
    asking = {"ViewerMtlsConfig": {"Mode": mode, "TrustStoreConfig": {"TrustStoreId": "TS"}}}
    plain = place.edge.config(HttpVersion="http2and3") | {"domain": "open.example"}
    await place.serve(place.edge.config(behaviour=behaviour, HttpVersion="http2and3", **asking), plain)


async def test_a_certificate_is_required(place: Fronted, tmp_path: Path) -> None:
    await serve(place, "required")
    head, body = await place.curl("/", "--cert", str(tmp_path / "device.pem"))
    assert (head[":status"], body) == ("200", b"hello")
    for options in ((), ("--cert", str(tmp_path / "stranger.pem"))):
        try:
            head, _ = await place.curl("/", *options)
        except AssertionError:
            continue  # the handshake failed
        assert head[":status"] == "403"
    assert (await place.curl("/", host="open.example"))[0][":status"] == "200"
    assert (await place.edge.get("/")).status == 403  # nor without TLS
    assert len(place.edge.origin.asked) == 2


async def test_what_is_cached_is_not_for_those_without(place: Fronted, tmp_path: Path) -> None:
    asking = {"ViewerMtlsConfig": {"Mode": "required", "TrustStoreConfig": {"TrustStoreId": "TS"}}}
    await place.serve(place.edge.config(**asking), place.edge.config() | {"domain": "open.example"})
    for _ in range(2):
        head, _ = await place.curl("/", "--cert", str(tmp_path / "device.pem"))
    assert head["x-cache"] == "hit from cloudfront"
    head, _ = await place.curl("/", "-H", f"Host: {HOST}", host="open.example")
    assert head[":status"] == "421"
    assert (await place.edge.get("/")).status == 403


async def test_an_optional_certificate_is_told_to_the_origin(place: Fronted, tmp_path: Path) -> None:
    await serve(place, "optional")
    assert (await place.curl("/", "-H", "CloudFront-Viewer-Cert-Present: 1"))[0][":status"] == "200"
    assert (await place.curl("/", "--cert", str(tmp_path / "device.pem")))[0][":status"] == "200"
    without, with_one = (each.headers for each in place.edge.origin.asked)
    assert [pair for pair in without.items() if "viewer-cert" in pair[0]] == [("cloudfront-viewer-cert-present", "0")]
    assert with_one.get("cloudfront-viewer-cert-present") == "1"
    assert with_one.get("cloudfront-viewer-cert-subject") == "CN=Bed 7"
    assert with_one.get("cloudfront-viewer-cert-issuer") == "CN=devices"
    assert (with_one.get("cloudfront-viewer-cert-pem") or "").startswith("-----BEGIN%20CERTIFICATE-----%0A")
    assert len(with_one.get("cloudfront-viewer-cert-sha256") or "") == 64
    assert "NotAfter=2" in (with_one.get("cloudfront-viewer-cert-validity") or "")


async def test_http_3_needs_the_certificate_too(tmp_path: Path) -> None:
    async with fronted(tmp_path) as place:
        devices = Authority.load_or_create(tmp_path / "devices", "devices")
        place.edge.policies["TS"] = {"certificates": devices.certificate_pem.decode()}
        place.edge.policies["P"] = {}
        await serve(place, "required")
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(10), http3(place) as viewer:
                assert (await viewer.ask("/")).status == 403
                raise ConnectionError


def test_trust_stores(place_of_aws: tuple[Running, Any]) -> None:
    running, cloudfront = place_of_aws
    s3 = running.client("s3")
    s3.create_bucket(Bucket="authorities")
    bundle = (running.process.folder / "ca.pem").read_bytes()
    s3.put_object(Bucket="authorities", Key="two.pem", Body=bundle * 2)
    s3.put_object(Bucket="authorities", Key="none.pem", Body=b"nothing")

    def source(key: str) -> dict[str, Any]:
        return {"CaCertificatesBundleS3Location": {"Bucket": "authorities", "Key": key, "Region": "us-east-1"}}

    made = cloudfront.create_trust_store(Name="devices", CaCertificatesBundleSource=source("two.pem"))
    identity = made["TrustStore"]["Id"]
    assert (made["TrustStore"]["Status"], made["TrustStore"]["NumberOfCaCertificates"]) == ("active", 2)
    for key in ("none.pem", "missing.pem"):
        with pytest.raises(ClientError) as wrong:
            cloudfront.create_trust_store(Name="x", CaCertificatesBundleSource=source(key))
        assert wrong.value.response["Error"]["Code"] == "InvalidArgument"
    with pytest.raises(ClientError) as twice:
        cloudfront.create_trust_store(Name="devices", CaCertificatesBundleSource=source("two.pem"))
    assert twice.value.response["Error"]["Code"] == "EntityAlreadyExists"
    assert [each["Id"] for each in cloudfront.list_trust_stores()["TrustStoreList"]] == [identity]
    assert cloudfront.get_trust_store(Identifier="devices")["ETag"] == made["ETag"]

    unnamed = {"OriginAccessIdentity": ""}
    config = {
        "CallerReference": "mtls",
        "Comment": "",
        "Enabled": True,
        "Origins": listed([{"Id": "o", "DomainName": "authorities.s3.amazonaws.com", "S3OriginConfig": unnamed}]),
        "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all", "CachePolicyId": DISABLED},
        "ViewerMtlsConfig": {"Mode": "required", "TrustStoreConfig": {"TrustStoreId": identity}},
    }
    with pytest.raises(ClientError) as open_to_all:
        cloudfront.create_distribution(DistributionConfig=config)
    assert open_to_all.value.response["Error"]["Code"] == "InvalidArgument"
    config["DefaultCacheBehavior"]["ViewerProtocolPolicy"] = "https-only"  # type: ignore[index]
    distribution = cloudfront.create_distribution(DistributionConfig=config)
    using = cloudfront.list_distributions_by_trust_store(TrustStoreIdentifier=identity)["DistributionList"]
    assert [each["Id"] for each in using["Items"]] == [distribution["Distribution"]["Id"]]
    with pytest.raises(ClientError) as used:
        cloudfront.delete_trust_store(Id=identity, IfMatch=made["ETag"])
    assert used.value.response["Error"]["Code"] == "CannotDeleteEntityWhileInUse"
    other = source("two.pem")
    updated = cloudfront.update_trust_store(Id=identity, IfMatch=made["ETag"], CaCertificatesBundleSource=other)
    assert updated["ETag"] != made["ETag"]
    assert distribution["Distribution"]["DistributionConfig"]["ViewerMtlsConfig"]["Mode"] == "required"


@pytest.fixture
def place_of_aws(start: Any) -> tuple[Running, Any]:
    running: Running = start("place")
    return running, running.client("cloudfront")
