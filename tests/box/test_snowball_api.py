"""The Snowball API through boto3 and the AWS CLI."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from littoral.aws.service import Call, ServiceError
from littoral.box.region.api import SnowballApi
from littoral.box.region.book import Book
from littoral.box.region.handing import ManifestLinks
from littoral.box.region.steps import Steps
from littoral.kms import KeyStore
from littoral.net.pki import Authority
from littoral.store.embedded import EmbeddedStore
from littoral.store.sealed import Seal
from tests.support.served import Served, served

ADDRESS = {
    "Name": "Ward 7",
    "Street1": "Main street 1",
    "City": "Utrecht",
    "Country": "NL",
    "PostalCode": "3511",
    "PhoneNumber": "030 1234567",
}
BUCKET = {"BucketArn": "arn:aws:s3:::records"}
CODE = "abcde-fghij-klmno-pqrst-uvwxy"


class Time:
    """For links: what the clock says is set by the test."""

    ahead = 0.0

    def __call__(self) -> float:
        import time

        return time.time() + self.ahead


@pytest.fixture(scope="module")
def clock() -> Time:
    return Time()


@pytest.fixture(scope="module")
def books() -> list[Book]:
    return []


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, books: list[Book], clock: Time) -> Iterator[Served]:
    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        key = tmp_path_factory.mktemp("keys") / "box.key"
        seal = Seal(os.urandom(32))
        keys = await KeyStore.open(store.records("kms"), seal, region="us-east-1", account="000000000000")
        book = Book(store.records("box"), Seal.load_or_create(key), keys)
        await book.load()
        books.append(book)

        async def manifest(job: str) -> bytes | None:
            secret = await book.secret(job)
            return None if secret is None else secret["manifest"].encode()

        def link(call: Call, where: str) -> str:
            return f"{call.base_url}/{where}"

        links = ManifestLinks(b"key", manifest, clock)
        api = SnowballApi(book, lambda bucket: bucket == "records", link, links.link)
        return {"snowball": api, "kms": keys.api, "routes": links.routes()}

    with served(factory) as running:
        yield running


@pytest.fixture
def client(place: Served) -> Any:
    return boto3.client("snowball", config=Config(retries={"max_attempts": 1}), **place.client_kwargs)


@pytest.fixture
def make(client: Any) -> Callable[..., str]:
    def of(kind: str = "IMPORT", **more: Any) -> str:
        address = client.create_address(Address=ADDRESS)["AddressId"]
        wanted = {"Resources": {"S3Resources": [BUCKET]}, **more}
        made = client.create_job(
            JobType=kind, AddressId=address, SnowballType="EDGE", ShippingOption="NEXT_DAY", **wanted
        )
        return str(made["JobId"])

    return of


@pytest.fixture
def refused() -> Callable[..., str]:
    def of(method: Callable[..., Any], **arguments: Any) -> str:
        with pytest.raises(ClientError) as problem:
            method(**arguments)
        return str(problem.value.response["Error"]["Code"])

    return of


def put(place: Served, books: list[Book], job: str, state: str) -> None:
    place.run(books[0].change(job, within=frozenset((books[0].job(job).state,)), state=state))


def test_addresses_are_kept(client: Any, refused: Callable[..., str]) -> None:
    identifier = client.create_address(Address=ADDRESS)["AddressId"]
    assert len(identifier) == 40
    assert client.describe_address(AddressId=identifier)["Address"] == {
        **ADDRESS,
        "AddressId": identifier,
        "IsRestricted": False,
    }
    pages = client.get_paginator("describe_addresses").paginate(PaginationConfig={"PageSize": 1})
    assert identifier in {one["AddressId"] for page in pages for one in page["Addresses"]}
    assert refused(client.create_address, Address={"Name": "nobody"}) == "InvalidAddressException"
    unknown = "ADID00000000-0000-0000-0000-000000000000"
    assert refused(client.describe_address, AddressId=unknown) == "InvalidResourceException"


def test_a_job_is_as_it_was_asked_for(client: Any, make: Callable[..., str]) -> None:
    job = make(
        "EXPORT", Description="a year", Resources={"S3Resources": [{**BUCKET, "KeyRange": {"BeginMarker": "2026"}}]}
    )
    assert len(job) == 39
    told = client.describe_job(JobId=job)["JobMetadata"]
    assert (told["JobId"], told["JobState"], told["JobType"]) == (job, "New", "EXPORT")
    assert told["Description"] == "a year"
    assert told["ShippingDetails"] == {"ShippingOption": "NEXT_DAY"}
    assert told["Resources"]["S3Resources"][0]["KeyRange"] == {"BeginMarker": "2026"}
    assert "DataTransferProgress" not in told
    assert "JobLogInfo" not in told


def test_jobs_are_listed_in_pages(client: Any, make: Callable[..., str], refused: Callable[..., str]) -> None:
    made = [make() for _ in range(3)]
    pages = list(client.get_paginator("list_jobs").paginate(PaginationConfig={"PageSize": 2}))
    listed = [one["JobId"] for page in pages for one in page["JobListEntries"]]
    assert listed[-3:] == made
    assert len(set(listed)) == len(listed)
    assert refused(client.list_jobs, NextToken="?") == "InvalidNextTokenException"


def test_a_new_job_may_be_changed_and_cancelled_one_time(
    client: Any, make: Callable[..., str], refused: Callable[..., str]
) -> None:
    job = make()
    client.update_job(JobId=job, Description="other", ShippingOption="EXPRESS")
    told = client.describe_job(JobId=job)["JobMetadata"]
    assert (told["Description"], told["ShippingDetails"]["ShippingOption"]) == ("other", "EXPRESS")
    client.cancel_job(JobId=job)
    assert client.describe_job(JobId=job)["JobMetadata"]["JobState"] == "Cancelled"
    assert refused(client.cancel_job, JobId=job) == "InvalidJobStateException"
    assert refused(client.update_job, JobId=job, Description="late") == "InvalidJobStateException"


def test_what_cannot_be_had_is_refused_by_its_error(
    client: Any, make: Callable[..., str], refused: Callable[..., str]
) -> None:
    address = client.create_address(Address=ADDRESS)["AddressId"]
    wanted: dict[str, Any] = {"JobType": "IMPORT", "AddressId": address, "Resources": {"S3Resources": [BUCKET]}}

    def with_resource(**more: Any) -> dict[str, Any]:
        return {**wanted, "Resources": {"S3Resources": [{**BUCKET, **more}]}}

    key = "arn:aws:kms:us-east-1:000000000000:key/abc"
    refusals = {
        "InvalidResourceException": [
            with_resource(BucketArn="arn:aws:s3:::absent"),
            {**wanted, "AddressId": "ADID00000000-0000-0000-0000-000000000000"},
            {"ClusterId": "CID00000000-0000-0000-0000-000000000000"},
        ],
        "InvalidInputCombinationException": [
            {"JobType": "IMPORT"},
            {**wanted, "Resources": {}},
            {**wanted, "SnowballType": "SNC1_SSD"},
            with_resource(KeyRange={"BeginMarker": "a"}),
            {**with_resource(KeyRange={"BeginMarker": "b", "EndMarker": "a"}), "JobType": "EXPORT"},
            with_resource(TargetOnDeviceServices=[{"ServiceName": "NFS_ON_DEVICE_SERVICE"}]),
            {**wanted, "Resources": {"S3Resources": [BUCKET], "Ec2AmiResources": [{"AmiId": "ami-01234567"}]}},
        ],
        "ValidationException": [
            {**wanted, "JobType": "BORROW"},
            {**wanted, "ShippingOption": "SLOW"},
            {**wanted, "SnowballCapacityPreference": "T1000"},
        ],
        "KMSRequestFailedException": [{**wanted, "KmsKeyARN": key}],
        "NotImplemented": [{**wanted, "RemoteManagement": "INSTALLED_ONLY"}],
    }
    for code, calls in refusals.items():
        for arguments in calls:
            assert refused(client.create_job, **arguments) == code, arguments
    cluster = "CID00000000-0000-0000-0000-000000000000"
    assert refused(client.describe_cluster, ClusterId=cluster) == "InvalidResourceException"
    assert client.list_clusters()["ClusterListEntries"] == []
    assert refused(client.create_return_shipping_label, JobId=make()) == "NotImplemented"


def test_what_opens_a_box_is_under_the_key_of_its_job(
    client: Any, place: Served, books: list[Book], make: Callable[..., str], refused: Callable[..., str]
) -> None:
    kms = boto3.client("kms", config=Config(retries={"max_attempts": 1}), **place.client_kwargs)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    job = make(KmsKeyARN=key)
    assert client.describe_job(JobId=job)["JobMetadata"]["KmsKeyARN"] == key
    assert "KmsKeyARN" not in client.describe_job(JobId=make())["JobMetadata"]
    steps = Steps(books[0], Authority.create("region"), "us-east-1", "000000000000")
    made = place.run(steps.prepare(job, 0.0))
    assert place.run(steps.prepare(job, 0.0)) == made
    place.run(steps.ready(job))
    client.update_job_shipment_state(JobId=job, ShipmentState="RECEIVED")
    assert client.get_job_unlock_code(JobId=job)["UnlockCode"] == made[1]
    link = client.get_job_manifest(JobId=job)["ManifestURI"]
    kms.disable_key(KeyId=key)
    assert refused(client.get_job_unlock_code, JobId=job) == "KMSRequestFailedException"
    assert refused(client.get_job_manifest, JobId=job) == "KMSRequestFailedException"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(link)
    client.update_job_shipment_state(JobId=job, ShipmentState="RETURNED")
    with pytest.raises(ServiceError, match="is disabled"):
        place.run(steps.begin(job))
    assert client.describe_job(JobId=job)["JobMetadata"]["JobState"] == "InTransitToAWS"
    kms.enable_key(KeyId=key)
    place.run(steps.begin(job))
    assert client.describe_job(JobId=job)["JobMetadata"]["JobState"] == "InProgress"
    put(place, books, job, "Complete")


def test_a_key_that_cannot_be_used_makes_no_job(
    client: Any, place: Served, make: Callable[..., str], refused: Callable[..., str]
) -> None:
    kms = boto3.client("kms", **place.client_kwargs)
    disabled, leaving = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    kms.disable_key(KeyId=disabled)
    kms.schedule_key_deletion(KeyId=leaving)
    before = client.list_jobs()["JobListEntries"]
    for key in (disabled, leaving, disabled[:-12] + "0" * 12):
        assert refused(make, KmsKeyARN=key) == "KMSRequestFailedException"
    assert client.list_jobs()["JobListEntries"] == before


def test_manifest_and_code_are_given_with_the_customer_only(
    client: Any, place: Served, books: list[Book], make: Callable[..., str], refused: Callable[..., str], clock: Time
) -> None:
    job = make()
    place.run(books[0].keep_secret(job, {"code": CODE, "manifest": "sealed"}))
    assert CODE.encode() not in b"".join(file.read_bytes() for file in place.folder.rglob("*") if file.is_file())
    for state in ("PreparingAppliance", "InTransitToCustomer"):
        assert refused(client.get_job_unlock_code, JobId=job) == "InvalidJobStateException"
        assert refused(client.get_job_manifest, JobId=job) == "InvalidJobStateException"
        put(place, books, job, state)
    assert refused(client.cancel_job, JobId=job) == "InvalidJobStateException"
    assert client.get_snowball_usage()["SnowballsInUse"] == 1
    client.update_job_shipment_state(JobId=job, ShipmentState="RECEIVED")
    assert refused(client.update_job_shipment_state, JobId=job, ShipmentState="LOST") == "ValidationException"
    assert client.get_job_unlock_code(JobId=job)["UnlockCode"] == CODE
    link = client.get_job_manifest(JobId=job)["ManifestURI"]
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"sealed"
    clock.ahead = 3700
    for wrong in (link, link.replace(job, job[:-1] + "0"), link.partition("?")[0]):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(wrong)
    clock.ahead = 0
    client.update_job_shipment_state(JobId=job, ShipmentState="RETURNED")
    assert refused(client.get_job_unlock_code, JobId=job) == "InvalidJobStateException"
    assert refused(client.update_job_shipment_state, JobId=job, ShipmentState="RETURNED") == "InvalidJobStateException"
    put(place, books, job, "Complete")
    assert client.describe_job(JobId=job)["JobMetadata"]["DataTransferProgress"]["TotalObjects"] == 0


def test_who_prepare_at_once_get_one_manifest(place: Served, books: list[Book], make: Callable[..., str]) -> None:
    job = make()
    steps = Steps(books[0], Authority.create("Littoral region"), "us-east-1", "000000000000")

    async def both() -> list[tuple[bytes, str]]:
        return await asyncio.gather(steps.prepare(job, 0.0), steps.prepare(job, 0.0))

    first, second = place.run(both())
    assert first == second
    assert place.run(books[0].secret(job))["code"] == first[1]


def test_the_book_is_read_again_as_it_was(
    place: Served, books: list[Book], client: Any, make: Callable[..., str]
) -> None:
    job = make(Description="kept")

    async def again() -> Book:
        book = Book(books[0]._secrets, books[0]._seal)
        await book.load()
        return book

    read = place.run(again())
    assert read.jobs == books[0].jobs
    assert read.addresses == books[0].addresses
    assert read.jobs[job].ranges[0].bucket == "records"


def test_the_cli_makes_and_describes_a_job(place: Served, tmp_path: Path) -> None:
    def aws(*words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "awscli", "snowball", *words],
            env={**os.environ, **place.env},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout) if done.stdout else {}

    address = aws("create-address", "--address", json.dumps(ADDRESS))["AddressId"]
    resources = json.dumps({"S3Resources": [BUCKET]})
    job = aws(
        *("create-job", "--job-type", "IMPORT", "--resources", resources, "--address-id", address),
        *("--snowball-type", "EDGE", "--shipping-option", "SECOND_DAY"),
    )["JobId"]
    assert aws("describe-job", "--job-id", job)["JobMetadata"]["JobState"] == "New"
    assert job in {one["JobId"] for one in aws("list-jobs")["JobListEntries"]}
    aws("cancel-job", "--job-id", job)
    assert aws("describe-job", "--job-id", job)["JobMetadata"]["JobState"] == "Cancelled"
