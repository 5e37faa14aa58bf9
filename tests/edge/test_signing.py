"""Signed URLs and cookies as botocore's CloudFrontSigner and the AWS CLI make them, before a real edge location."""

from __future__ import annotations

import datetime
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from littoral.protocols.signedurl import canned, encoded
from tests.edge.place import behaving, listed
from tests.edge.test_control import Location, Place, config, origin_of, refused, region, until

RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
ECDSA = ec.generate_private_key(ec.SECP256R1())
PAST, SOON = 1_000_000_000, int(time.time()) + 86_400


def pem(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def rsa_sign(message: bytes, algorithm: Any = None, key: Any = RSA) -> bytes:
    return key.sign(message, padding.PKCS1v15(), algorithm or SHA1())


def ec_sign(message: bytes, algorithm: Any = None) -> bytes:
    return ECDSA.sign(message, ec.ECDSA(algorithm or SHA1()))


def key_config(name: str, key: str) -> dict[str, Any]:
    return {"CallerReference": name, "Name": name, "EncodedKey": key, "Comment": ""}


class Private:
    """A distribution whose content is for those whom two keys have signed for."""

    def __init__(self, there: Place, location: Location, port: int, forward: str = "") -> None:
        cf = there.cloudfront
        self.rsa, self.ecdsa = (
            cf.create_public_key(PublicKeyConfig=key_config(name, pem(key)))["PublicKey"]["Id"]
            for name, key in (("rsa", RSA), ("ecdsa", ECDSA))
        )
        self.group = cf.create_key_group(KeyGroupConfig={"Name": "us", "Items": [self.rsa, self.ecdsa]})["KeyGroup"][
            "Id"
        ]
        self.config = config(port, DefaultCacheBehavior=behaving(TrustedKeyGroups=trusting([self.group])))
        made = cf.create_distribution(DistributionConfig=self.config)
        self.id, self.etag = made["Distribution"]["Id"], made["ETag"]
        self.host = made["Distribution"]["DomainName"]
        self.location = location
        until(lambda: location.pipeline.serves(self.host))

    def get(self, target: str, **headers: str) -> tuple[int, bytes, str]:
        status, body, found = self.location.ask(self.host, target, **headers)
        return status, body, found["x-cache"].partition(" ")[0]

    def url(self, target: str) -> str:
        return f"http://{self.host}{target}"

    def target(self, url: str) -> str:
        return url.removeprefix(f"http://{self.host}")


def trusting(groups: list[str]) -> dict[str, Any]:
    return {"Enabled": True, **listed(groups)}


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Private]:
    with region() as there, origin_of(there.place) as (origin, port):
        location = Location(there.place, tmp_path_factory.mktemp("pop")).start()
        try:
            made = Private(there, location, port)
            made.origin, made.cloudfront = origin, there.cloudfront  # type: ignore[attr-defined]
            yield made
        finally:
            location.stop()


def signer(private: Private, **options: Any) -> CloudFrontSigner:
    return CloudFrontSigner(options.get("key_id", private.rsa), options.get("sign", rsa_sign))


def at(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def code(reply: tuple[int, bytes, str]) -> str:
    status, body, label = reply
    assert (status, label) == (403, "Error")
    return body.decode().partition("<Code>")[2].partition("</Code>")[0]


def test_without_a_signature_nothing_is_shown(private: Private) -> None:
    status, body, headers = private.location.ask(private.host, "/a")
    assert (status, headers["content-type"]) == (403, "text/xml")
    assert body == (
        b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>MissingKey</Code>'
        b"<Message>Missing Key-Pair-Id query parameter or cookie value</Message></Error>"
    )


@pytest.mark.parametrize("which", ["rsa", "ecdsa"])
def test_a_canned_policy_opens_its_own_url_until_its_time(private: Private, which: str) -> None:
    made = signer(private, key_id=getattr(private, which), sign={"rsa": rsa_sign, "ecdsa": ec_sign}[which])
    url = private.target(made.generate_presigned_url(private.url(f"/{which}?size=1"), date_less_than=at(SOON)))
    assert [private.get(url) for _ in range(3)] == [
        (200, b"hello", "Miss"),
        (200, b"hello", "Hit"),
        (200, b"hello", "Hit"),
    ]
    assert code(private.get(url.replace(f"/{which}?", "/other?"))) == "AccessDenied"
    assert code(private.get(url.replace("size=1", "size=2"))) == "AccessDenied"
    assert code(private.get(url.replace(f"Expires={SOON}", f"Expires={SOON + 1}"))) == "AccessDenied"
    old = made.generate_presigned_url(private.url("/a"), date_less_than=at(PAST))
    assert code(private.get(private.target(old))) == "AccessDenied"


def test_neither_the_origin_nor_the_key_see_the_signature(private: Private) -> None:
    origin = private.origin  # type: ignore[attr-defined]
    for expires in (SOON, SOON + 1):
        url = signer(private).generate_presigned_url(private.url("/once?x=1"), date_less_than=at(expires))
        reply = private.get(private.target(url), Cookie="a=1; CloudFront-Policy=x")
        assert reply[0] == 200
    assert [each.target for each in origin.asked if each.target.startswith("/once")] == ["/once"]


def test_a_custom_policy_opens_what_its_wildcards_mean(private: Private) -> None:
    made = signer(private)
    policy = made.build_policy(private.url("/ward-?/*"), at(SOON), at(PAST), "127.0.0.0/8")

    def signed(path: str, text: str = policy) -> str:
        return private.target(made.generate_presigned_url(private.url(path), policy=text))

    assert private.get(signed("/ward-7/page"))[0] == 200
    assert private.get(signed("/ward-7/page?x=1&y=2"))[0] == 200
    assert code(private.get(signed("/ward-17/page"))) == "AccessDenied"
    assert code(private.get(signed("/ward-7/p", made.build_policy("*", at(SOON), at(SOON))))) == "AccessDenied"
    assert code(private.get(signed("/ward-7/p", made.build_policy("*", at(PAST), at(PAST))))) == "AccessDenied"
    elsewhere = made.build_policy("*", at(SOON), None, "192.0.2.0/24")
    assert code(private.get(signed("/ward-7/p", elsewhere))) == "AccessDenied"
    assert private.get(signed("/ward-7/p", made.build_policy("http*://*/ward-7/*", at(SOON))))[0] == 200
    everything = f'{{"Statement":[{{"Condition":{{"DateLessThan":{{"AWS:EpochTime":{SOON}}}}}}}]}}'
    assert private.get(signed("/anything", everything))[0] == 200


@pytest.mark.parametrize("name", ["SHA256", "SHA1"])
@pytest.mark.parametrize("which", ["rsa", "ecdsa"])
def test_the_hash_that_is_named_counts(private: Private, which: str, name: str) -> None:
    sign: Callable[..., bytes] = {"rsa": rsa_sign, "ecdsa": ec_sign}[which]
    message = canned(private.url("/h"), SOON)
    signature = encoded(sign(message, {"SHA1": SHA1(), "SHA256": SHA256()}[name]))
    target = f"/h?Expires={SOON}&Signature={signature}&Key-Pair-Id={getattr(private, which)}"
    assert private.get(f"{target}&Hash-Algorithm={name}")[0] == 200
    other = {"SHA1": "SHA256", "SHA256": "SHA1"}[name]
    assert code(private.get(f"{target}&Hash-Algorithm={other}")) == "AccessDenied"
    assert code(private.get(f"{target}&Hash-Algorithm=MD5")) == "AccessDenied"


def test_three_cookies_do_as_well(private: Private) -> None:
    policy = signer(private).build_policy(private.url("/c/*"), at(SOON)).encode()
    cookies = {"Policy": encoded(policy), "Signature": encoded(rsa_sign(policy)), "Key-Pair-Id": private.rsa}
    text = "a=1; " + "; ".join(f"CloudFront-{name}={value}" for name, value in cookies.items())
    assert private.get("/c/1", Cookie=text)[0] == 200
    assert code(private.get("/d/1", Cookie=text)) == "AccessDenied"
    url = private.url("/e?x=1")
    signature = encoded(rsa_sign(canned(url, SOON)))
    text = f"CloudFront-Expires={SOON}; CloudFront-Signature={signature}; CloudFront-Key-Pair-Id={private.rsa}"
    assert private.get("/e?x=1", Cookie=text)[0] == 200
    assert code(private.get("/e?x=2", Cookie=text)) == "AccessDenied"
    assert code(private.get("/e?x=1&Expires=1", Cookie=text)) == "MissingKey"  # the query goes before cookies


def test_what_is_wrong_is_said(private: Private) -> None:
    good = encoded(rsa_sign(canned(private.url("/a"), SOON)))
    forged = encoded(rsa_sign(canned(private.url("/a"), SOON), key=OTHER))
    for query, said in {
        f"Expires={SOON}&Key-Pair-Id={private.rsa}": "MissingSignature",
        f"Signature={good}&Key-Pair-Id={private.rsa}": "MissingPolicy",
        f"Expires=soon&Signature={good}&Key-Pair-Id={private.rsa}": "MissingPolicy",
        f"Expires={SOON}&Signature={good}&Key-Pair-Id=KUNKNOWN": "InvalidKey",
        f"Expires={SOON}&Signature=a&Key-Pair-Id={private.rsa}": "MalformedSignature",
        f"Expires={SOON}&Signature={forged}&Key-Pair-Id={private.rsa}": "AccessDenied",
        f"Policy=e30_&Signature={good}&Key-Pair-Id={private.rsa}": "MalformedPolicy",
        f"Policy=!&Signature={good}&Key-Pair-Id={private.rsa}": "MalformedPolicy",
    }.items():
        assert code(private.get(f"/a?{query}")) == said, query


def test_the_aws_cli_signs(private: Private, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    aws = [str(Path(sys.executable).with_name("aws")), "cloudfront", "sign", "--url", private.url("/cli?x=1")]
    options = ["--key-pair-id", private.rsa, "--private-key", f"file://{file}", "--date-less-than", "2099-01-01"]
    for more in ([], ["--ip-address", "127.0.0.1/32", "--date-greater-than", "2020-01-01"]):
        url = subprocess.run([*aws, *options, *more], capture_output=True, text=True, check=True).stdout.strip()
        assert private.get(private.target(url))[0] == 200


def test_a_403_page_of_ones_own_is_shown(private: Private) -> None:
    cf = private.cloudfront  # type: ignore[attr-defined]
    page = {"ErrorCode": 403, "ResponsePagePath": "/sorry", "ResponseCode": "403", "ErrorCachingMinTTL": 1}
    public = behaving(PathPattern="/sorry")
    changed = private.config | {"CustomErrorResponses": listed([page]), "CacheBehaviors": listed([public])}
    made = cf.update_distribution(Id=private.id, IfMatch=private.etag, DistributionConfig=changed)
    cf.get_waiter("distribution_deployed").wait(Id=private.id, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    assert private.get("/a") == (403, b"hello", "Error")
    private.etag = cf.update_distribution(Id=private.id, IfMatch=made["ETag"], DistributionConfig=private.config)[
        "ETag"
    ]
    cf.get_waiter("distribution_deployed").wait(Id=private.id, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})


# ------------------------------------------------------------------------------------------ the control plane


def test_the_life_of_keys_and_groups(private: Private) -> None:
    cf = private.cloudfront  # type: ignore[attr-defined]
    made = cf.create_public_key(PublicKeyConfig=key_config("third", pem(OTHER)))
    key = made["PublicKey"]["Id"]
    assert made["Location"].endswith(key)
    assert cf.get_public_key(Id=key)["PublicKey"]["PublicKeyConfig"]["Name"] == "third"
    refused("PublicKeyAlreadyExists", cf.create_public_key, PublicKeyConfig=key_config("third", pem(RSA)))
    commented = key_config("third", pem(OTHER)) | {"Comment": "ours"}
    etag = cf.update_public_key(Id=key, IfMatch=made["ETag"], PublicKeyConfig=commented)["ETag"]
    assert cf.get_public_key_config(Id=key)["PublicKeyConfig"]["Comment"] == "ours"
    refused("PreconditionFailed", cf.update_public_key, Id=key, IfMatch="E1", PublicKeyConfig=commented)
    other = commented | {"Name": "fourth"}
    code = "CannotChangeImmutablePublicKeyFields"
    refused(code, cf.update_public_key, Id=key, IfMatch=etag, PublicKeyConfig=other)
    assert {key, private.rsa} <= {each["Id"] for each in cf.list_public_keys()["PublicKeyList"]["Items"]}

    group = cf.create_key_group(KeyGroupConfig={"Name": "them", "Items": [key]})
    identifier = group["KeyGroup"]["Id"]
    refused("KeyGroupAlreadyExists", cf.create_key_group, KeyGroupConfig={"Name": "them", "Items": [key]})
    refused("InvalidArgument", cf.create_key_group, KeyGroupConfig={"Name": "none", "Items": ["KNONE"]})
    six = {"Name": "six", "Items": [f"K{number}" for number in range(6)]}
    refused("TooManyPublicKeysInKeyGroup", cf.create_key_group, KeyGroupConfig=six)
    refused("PublicKeyInUse", cf.delete_public_key, Id=key, IfMatch=etag)
    changed = {"Name": "them", "Items": [key, private.rsa], "Comment": "more"}
    group = cf.update_key_group(Id=identifier, IfMatch=group["ETag"], KeyGroupConfig=changed)
    assert cf.get_key_group_config(Id=identifier)["KeyGroupConfig"] == changed
    assert {each["KeyGroup"]["Id"] for each in cf.list_key_groups()["KeyGroupList"]["Items"]} == {
        identifier,
        private.group,
    }
    cf.delete_key_group(Id=identifier, IfMatch=group["ETag"])
    cf.delete_public_key(Id=key, IfMatch=etag)
    refused("NoSuchPublicKey", cf.get_public_key, Id=key)
    refused("NoSuchResource", cf.get_key_group, Id=identifier)


def test_what_is_in_use_stays(private: Private) -> None:
    cf = private.cloudfront  # type: ignore[attr-defined]
    refused("ResourceInUse", cf.delete_key_group, Id=private.group, IfMatch=cf.get_key_group(Id=private.group)["ETag"])
    using = cf.list_distributions_by_key_group(KeyGroupId=private.group)["DistributionIdList"]
    assert using["Items"] == [private.id]
    active = cf.get_distribution(Id=private.id)["Distribution"]["ActiveTrustedKeyGroups"]
    assert active["Items"] == [
        {"KeyGroupId": private.group, "KeyPairIds": {"Quantity": 2, "Items": [private.rsa, private.ecdsa]}}
    ]


def test_what_cannot_be_trusted_is_refused(private: Private) -> None:
    cf = private.cloudfront  # type: ignore[attr-defined]
    for key in ("no key", pem(ec.generate_private_key(ec.SECP384R1())), pem(rsa.generate_private_key(65537, 1024))):
        refused("InvalidArgument", cf.create_public_key, PublicKeyConfig=key_config("bad", key))

    def create(**behaviour: Any) -> Any:
        wanted = config(reference="x", DefaultCacheBehavior=behaving(**behaviour))
        return cf.create_distribution(DistributionConfig=wanted)

    refused("TrustedKeyGroupDoesNotExist", create, TrustedKeyGroups=trusting(["KNONE"]))
    refused("TooManyKeyGroupsAssociatedToDistribution", create, TrustedKeyGroups=trusting([private.group] * 5))
    problem = refused("NotImplemented", create, TrustedSigners=trusting(["self"]))
    assert "trusted signers" in str(problem)
