"""The Certificate Manager API through boto3; and that no key is in the clear on the disk."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography import x509

from littoral.certificates import CertificateStore
from littoral.certificates.reading import covers
from littoral.net.pki import Authority
from littoral.store.contract import Records
from littoral.store.embedded import EmbeddedStore
from littoral.store.sealed import Seal
from tests.support.served import Served, served

from .made import Brought, brought, locked, rsa_key, self_signed

ACCOUNT = "000000000000"
DAY = 86400.0
PLACE = Authority.create("This place")


class Distributions:
    """Those that show certificates (``ports.Users``)."""

    def __init__(self) -> None:
        self.using: dict[str, list[str]] = {}
        self.told = 0
        self._lock = asyncio.Lock()

    def of(self, arn: str) -> list[str]:
        return self.using.get(arn, [])

    def changing(self) -> asyncio.Lock:
        return self._lock

    async def renewed(self, save: Callable[[], Awaitable[None]]) -> None:
        await save()
        self.told += 1


class Here:
    """A place that has ACM, and what it is made of."""

    def __init__(self, folder: Path) -> None:
        self.users = Distributions()
        self.key = folder / "certificates.key"
        self.served: Served
        self.store: CertificateStore
        self._records: Records

    async def factory(self, store: EmbeddedStore) -> dict[str, Any]:
        self._records = store.records("certificates")
        await self.open()
        return {"acm": self.store.api}

    async def open(self) -> None:
        seal = Seal.load_or_create(self.key)
        self.store = await CertificateStore.open(
            self._records, seal, PLACE, self.users, region="us-east-1", account=ACCOUNT
        )

    @property
    def acm(self) -> Any:
        return boto3.client("acm", config=Config(retries={"max_attempts": 1}), **self.served.client_kwargs)

    def pair(self, arn: str) -> tuple[bytes, bytes]:
        found = self.served.run(self.store.pair(arn, self.store.fingerprint(arn) or ""))
        assert found is not None
        return found


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    made = Here(tmp_path_factory.mktemp("keys"))
    with served(made.factory) as made.served:
        yield made


@pytest.fixture(scope="module")
def acm(here: Here) -> Any:
    return here.acm


def refused(code: str, ask: Callable[..., Any], **given: Any) -> str:
    with pytest.raises(ClientError) as problem:
        ask(**given)
    assert problem.value.response["Error"]["Code"] == code
    return str(problem.value.response["Error"]["Message"])


def imported(acm: Any, given: Brought, **more: Any) -> str:
    return str(acm.import_certificate(**given.given, **more)["CertificateArn"])


def test_one_that_is_brought(here: Here, acm: Any) -> None:
    given = brought("shop.example", "*.shop.example")
    arn = imported(acm, given, Tags=[{"Key": "team", "Value": "web"}])
    assert arn.startswith(f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/")
    told = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert (told["Type"], told["Status"], told["DomainName"]) == ("IMPORTED", "ISSUED", "shop.example")
    assert told["SubjectAlternativeNames"] == ["shop.example", "*.shop.example"]
    assert (told["KeyAlgorithm"], told["SignatureAlgorithm"]) == ("EC_prime256v1", "SHA256WITHECDSA")
    assert (told["Issuer"], told["Subject"]) == ("A stranger's authority", "CN=shop.example")
    assert told["ExtendedKeyUsages"] == [{"Name": "TLS_WEB_SERVER_AUTHENTICATION", "OID": "1.3.6.1.5.5.7.3.1"}]
    assert (told["InUseBy"], told["RenewalEligibility"]) == ([], "INELIGIBLE")
    assert "ImportedAt" in told and "DomainValidationOptions" not in told
    serial = x509.load_pem_x509_certificate(given.certificate).serial_number
    assert int(told["Serial"].replace(":", ""), 16) == serial
    got = acm.get_certificate(CertificateArn=arn)
    assert (got["Certificate"].encode(), got["CertificateChain"].encode()) == (given.certificate, given.chain)
    assert acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == [{"Key": "team", "Value": "web"}]
    chain, key = here.pair(arn)
    assert (chain, key) == (given.certificate + given.chain, given.key)


def test_again_under_its_arn(here: Here, acm: Any) -> None:
    first, second = brought("again.example"), brought("again.example", "more.example")
    arn, told = imported(acm, first), here.users.told
    before = here.store.fingerprint(arn)
    assert imported(acm, second, CertificateArn=arn) == arn
    assert here.store.fingerprint(arn) != before and here.users.told == told + 1
    assert here.pair(arn)[1] == second.key
    assert here.served.run(here.store.pair(arn, before or "")) is None  # nobody gets a key that is over
    assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainName"] == "again.example"
    given = {**first.given, "CertificateArn": arn}
    refused("ValidationException", acm.import_certificate, **given, Tags=[{"Key": "a", "Value": "b"}])
    other = brought("again.example", key=rsa_key(2048)).given
    refused("ValidationException", acm.import_certificate, **other, CertificateArn=arn)
    own = acm.request_certificate(DomainName="own.example", KeyAlgorithm="EC_prime256v1")["CertificateArn"]
    refused("ValidationException", acm.import_certificate, **first.given, CertificateArn=own)
    unknown = arn[:-12] + "0" * 12
    refused("ResourceNotFoundException", acm.import_certificate, **first.given, CertificateArn=unknown)
    assert here.pair(arn)[1] == second.key


BAD: dict[str, tuple[Callable[[], Brought], str]] = {
    "key of another": (lambda: Brought(brought("a.example").certificate, brought("a.example").key), "does not match"),
    "key with a password": (
        lambda: Brought((made := brought("a.example")).certificate, locked(made.key)),
        "unencrypted",
    ),
    "no key": (lambda: Brought(brought("a.example").certificate, b"-----BEGIN"), "unencrypted"),
    "no certificate": (lambda: Brought(b"nothing", brought("a.example").key), "PEM"),
    "two certificates": (lambda: Brought((made := brought("a.example")).certificate * 2, made.key), "more than one"),
    "over": (lambda: self_signed(-20, -10, "a.example"), "expired"),
    "not yet": (lambda: self_signed(10, 20, "a.example"), "not valid yet"),
    "chain of another": (
        lambda: Brought((made := brought("a.example")).certificate, made.key, PLACE.certificate_pem),
        "certificate chain",
    ),
    "chain that is none": (
        lambda: Brought((made := brought("a.example")).certificate, made.key, b"nothing"),
        "certificate chain",
    ),
    "no name": (lambda: self_signed(-1, 1), "no domain name"),
    "a size that ACM does not know": (lambda: self_signed(-1, 1, "a.example", key=rsa_key(2560)), "key algorithm"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_may_not_be_imported(acm: Any, what: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    make, reason = BAD[what]
    given = make()
    before = acm.list_certificates(Includes={"keyTypes": ["EC_prime256v1"]})["CertificateSummaryList"]
    message = refused("ValidationException", acm.import_certificate, **given.given)
    assert reason in message
    secret = "".join(given.key.decode().splitlines()[1:2])
    assert len(secret) < 20 or (secret not in message and secret not in caplog.text)
    assert acm.list_certificates(Includes={"keyTypes": ["EC_prime256v1"]})["CertificateSummaryList"] == before


@pytest.mark.parametrize(
    ("asked", "key", "signed"),
    [
        ({}, "RSA_2048", 2048),
        ({"KeyAlgorithm": "EC_prime256v1"}, "EC_prime256v1", 256),
        ({"KeyAlgorithm": "EC_secp384r1"}, "EC_secp384r1", 384),
    ],
)
def test_one_that_is_requested(here: Here, acm: Any, asked: dict[str, Any], key: str, signed: int) -> None:
    arn = acm.request_certificate(
        DomainName="*.Example.org", SubjectAlternativeNames=["example.org"], ValidationMethod="DNS", **asked
    )["CertificateArn"]
    told = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert (told["Type"], told["Status"], told["KeyAlgorithm"]) == ("AMAZON_ISSUED", "ISSUED", key)
    assert told["SubjectAlternativeNames"] == ["*.example.org", "example.org"]
    assert told["Options"]["CertificateTransparencyLoggingPreference"] == "ENABLED"
    wildcard, apex = told["DomainValidationOptions"]
    assert (wildcard["ValidationStatus"], wildcard["ValidationMethod"]) == ("SUCCESS", "DNS")
    record = wildcard["ResourceRecord"]
    assert record == apex["ResourceRecord"]  # one record proves both, as ACM has it
    assert record["Type"] == "CNAME" and record["Name"].startswith("_") and record["Name"].endswith(".example.org.")
    assert record["Value"].endswith(".acm-validations.aws.")
    chain, private = here.pair(arn)
    made = x509.load_pem_x509_certificate(chain)
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(PLACE.certificate_pem))
    public = made.public_key()
    assert getattr(public, "key_size") == signed  # noqa: B009 - of either kind
    assert b"PRIVATE KEY" in private
    assert acm.get_certificate(CertificateArn=arn)["CertificateChain"].encode() == PLACE.certificate_pem


def test_by_mail_nobody_is_written_to(acm: Any) -> None:
    arn = acm.request_certificate(
        DomainName="a.mail.example",
        ValidationMethod="EMAIL",
        DomainValidationOptions=[{"DomainName": "a.mail.example", "ValidationDomain": "mail.example"}],
    )["CertificateArn"]
    (told,) = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]
    assert told["ValidationDomain"] == "mail.example" and "ResourceRecord" not in told
    assert "admin@mail.example" in told["ValidationEmails"]


def test_what_may_not_be_requested(acm: Any) -> None:
    ask, invalid = acm.request_certificate, "InvalidDomainValidationOptionsException"
    other = [{"DomainName": "b.a.example", "ValidationDomain": "a.example"}]
    aside = [{"DomainName": "a.example", "ValidationDomain": "b.example"}]
    for options in (other, aside):
        refused(invalid, ask, DomainName="a.example", DomainValidationOptions=options)
    refused("InvalidParameterException", ask, DomainName="a.example", KeyAlgorithm="RSA_4096")
    refused("InvalidParameterException", ask, DomainName="a.example", ValidationMethod="HTTP")
    refused("NotImplemented", ask, DomainName="a.example", Options={"Export": "ENABLED"})
    authority = "arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/a"
    refused("NotImplemented", ask, DomainName="a.example", CertificateAuthorityArn=authority)
    names = [f"n{number}.example" for number in range(100)]
    refused("LimitExceededException", ask, DomainName="a.example", SubjectAlternativeNames=names)
    refused("InvalidTagException", ask, DomainName="a.example", Tags=[{"Key": "aws:a", "Value": ""}])


def test_the_same_request_is_one_certificate(acm: Any) -> None:
    asked = {"DomainName": "once.example", "IdempotencyToken": "once", "KeyAlgorithm": "EC_prime256v1"}
    first, second = (acm.request_certificate(**asked)["CertificateArn"] for _ in range(2))
    assert first == second
    refused("InvalidParameterException", acm.request_certificate, **asked | {"DomainName": "other.example"})


def test_lists(acm: Any) -> None:
    rsa = imported(acm, brought("list.example", key=rsa_key(2048)))
    elliptic = imported(acm, brought("list2.example"))

    def listed(**given: Any) -> list[str]:
        pages = acm.get_paginator("list_certificates").paginate(PaginationConfig={"PageSize": 1}, **given)
        return [each["CertificateArn"] for page in pages for each in page["CertificateSummaryList"]]

    assert rsa in listed() and elliptic not in listed()  # as ACM does without keyTypes
    both = listed(Includes={"keyTypes": ["RSA_2048", "EC_prime256v1"]}, SortBy="CREATED_AT", SortOrder="DESCENDING")
    assert both[:2] == [elliptic, rsa]
    assert listed(CertificateStatuses=["EXPIRED"]) == []
    assert listed(Includes={"keyUsage": ["CRL_SIGNING"]}) == []
    assert rsa in listed(Includes={"extendedKeyUsage": ["TLS_WEB_SERVER_AUTHENTICATION"]})
    refused("ValidationException", acm.list_certificates, SortBy="CREATED_AT")
    refused("InvalidArgsException", acm.list_certificates, NextToken="x")
    (shown,) = [each for each in acm.list_certificates()["CertificateSummaryList"] if each["CertificateArn"] == rsa]
    assert (shown["DomainName"], shown["Type"], shown["InUse"]) == ("list.example", "IMPORTED", False)


def test_tags_and_options(acm: Any) -> None:
    arn = acm.request_certificate(DomainName="tags.example", KeyAlgorithm="EC_prime256v1")["CertificateArn"]
    acm.add_tags_to_certificate(CertificateArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    acm.remove_tags_from_certificate(CertificateArn=arn, Tags=[{"Key": "a", "Value": "other"}, {"Key": "b"}])
    assert acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == [{"Key": "a", "Value": "1"}]
    many = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
    refused("TooManyTagsException", acm.add_tags_to_certificate, CertificateArn=arn, Tags=many)
    preferred = {"CertificateTransparencyLoggingPreference": "DISABLED"}
    acm.update_certificate_options(CertificateArn=arn, Options=preferred)
    told = acm.describe_certificate(CertificateArn=arn)["Certificate"]["Options"]
    assert told["CertificateTransparencyLoggingPreference"] == "DISABLED"
    brought_in = imported(acm, brought("tags.example"))
    refused("InvalidStateException", acm.update_certificate_options, CertificateArn=brought_in, Options=preferred)


def test_it_is_not_deleted_while_it_is_shown(here: Here, acm: Any) -> None:
    arn = imported(acm, brought("used.example"))
    here.users.using[arn] = ["arn:aws:cloudfront::000000000000:distribution/E1"]
    assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["InUseBy"] == here.users.using[arn]
    refused("ResourceInUseException", acm.delete_certificate, CertificateArn=arn)
    del here.users.using[arn]
    acm.delete_certificate(CertificateArn=arn)
    refused("ResourceNotFoundException", acm.describe_certificate, CertificateArn=arn)
    other = "arn:aws:acm:us-east-1:000000000000:authority/a"
    refused("InvalidArnException", acm.describe_certificate, CertificateArn=other)
    refused("NotImplemented", acm.export_certificate, CertificateArn=arn, Passphrase=b"secret")


def test_what_is_shown_is_renewed_before_it_ends(here: Here, acm: Any) -> None:
    asked = {"KeyAlgorithm": "EC_prime256v1", "ValidationMethod": "DNS"}
    shown, unused = (
        acm.request_certificate(DomainName=name, **asked)["CertificateArn"]
        for name in ("renewed.example", "unused.example")
    )
    here.users.using[shown] = ["E1"]
    before = {arn: here.pair(arn) for arn in (shown, unused)}
    here.served.run(here.store.renew_due(time.time() + 300 * DAY))
    assert here.pair(shown) == before[shown]
    here.served.run(here.store.renew_due(time.time() + 340 * DAY))
    assert here.pair(shown)[1] != before[shown][1] and here.pair(unused) == before[unused]
    told = acm.describe_certificate(CertificateArn=shown)["Certificate"]
    assert (told["RenewalSummary"]["RenewalStatus"], told["RenewalEligibility"]) == ("SUCCESS", "ELIGIBLE")
    assert told["DomainName"] == "renewed.example"
    del here.users.using[shown]


def test_one_that_is_over_is_none_to_be_shown(here: Here, acm: Any) -> None:
    arn = imported(acm, self_signed(-1, 1, "short.example"))
    assert here.store.missing(arn, ["short.example", "a.example"], time.time()) == ["a.example"]
    assert here.store.missing(arn, ["short.example"], time.time() + 2 * DAY) is None


def test_it_outlasts_the_place_and_lies_sealed(tmp_path: Path) -> None:
    given, made = brought("kept.example"), Here(tmp_path)
    with served(made.factory) as made.served:
        arn = imported(made.acm, given)
        own = made.acm.request_certificate(DomainName="own.example")["CertificateArn"]
        secrets = [key.splitlines()[1] for key in (given.key, made.pair(own)[1])]
        on_disk = b"".join(each.read_bytes() for each in made.served.folder.rglob("*") if each.is_file())
        before = made.store
        made.served.run(made.open())  # as the next start does
        assert made.store is not before
        assert made.pair(arn) == (given.certificate + given.chain, given.key)
    assert b"CERTIFICATE" in on_disk
    assert not [secret for secret in secrets if secret in on_disk]
    assert made.key.stat().st_mode & 0o777 == 0o600


def test_one_whose_key_is_lost_is_shown_nowhere(tmp_path: Path) -> None:
    given, made = brought("lost.example"), Here(tmp_path)
    with served(made.factory) as made.served:
        arn = imported(made.acm, given)
        own = made.acm.request_certificate(DomainName="own.example")["CertificateArn"]
        made.users.using[own] = ["E1"]
        made.key.unlink()
        made.served.run(made.open())
        assert (made.store.fingerprint(arn), made.store.missing(arn, [], time.time())) == (None, None)
        made.served.run(made.store.renew_due(time.time()))  # what is issued here is issued anew
        assert b"PRIVATE KEY" in made.pair(own)[1]
        assert made.store.fingerprint(arn) is None


def test_wildcards_stand_for_one_label() -> None:
    assert covers(["*.a.test"], "b.a.test") and covers(["*.a.test"], "*.a.test") and covers(["a.test"], "A.test")
    assert not covers(["*.a.test"], "a.test") and not covers(["*.a.test"], "c.b.a.test")
    assert not covers(["b.a.test"], "*.a.test")
