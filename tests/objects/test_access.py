"""Who may do what to a bucket: policies, lists, ownership and blocks, through boto3 with several keys."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from littoral.aws.identity import AccessKey
from littoral.objects.access.acl import canonical_id
from littoral.objects.access.needs import BY_KEY, NEEDS, OF_ACCOUNT
from littoral.objects.api import S3Api
from tests.objects.conftest import OTHER, S3Place
from tests.support.commits import held

Refusal = Callable[..., tuple[str, int]]
DENIED = ("AccessDenied", 403)
OPEN = {"BlockPublicAcls": False, "IgnorePublicAcls": False, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}


def test_every_operation_needs_something() -> None:
    there = {name for name in dir(S3Api) if hasattr(getattr(S3Api, name), "__littoral_operation__")}
    named = {name.replace("_", "") for name in there}
    assert named == {name.lower() for name in (*NEEDS, *BY_KEY, *OF_ACCOUNT)} & named
    assert len(named) == len(there)


def client(place: S3Place, key: AccessKey | None) -> Any:
    settings: dict[str, Any] = {"s3": {"addressing_style": "path"}, "retries": {"total_max_attempts": 1}}
    if key is None:
        settings["signature_version"] = UNSIGNED
    named = {} if key is None else {"aws_access_key_id": key.id, "aws_secret_access_key": key.secret}
    return boto3.client(
        "s3", endpoint_url=place.served.url, region_name="us-east-1", config=Config(**settings), **named
    )


@pytest.fixture
def camera(place: S3Place, keys: dict[str, AccessKey]) -> Any:
    return client(place, keys["camera"])


@pytest.fixture
def other(place: S3Place, keys: dict[str, AccessKey]) -> Any:
    return client(place, keys["other"])


@pytest.fixture
def nobody(place: S3Place) -> Any:
    return client(place, None)


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(principal: Any, actions: Any, resource: str, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Principal": principal, "Action": actions, "Resource": resource, **more}


def test_a_users_key_may_do_what_the_policy_grants_and_nothing_else(
    s3: Any, camera: Any, bucket: str, refusal: Refusal, place: S3Place, keys: dict[str, AccessKey]
) -> None:
    put = {"Bucket": bucket, "Key": "camera/1.jpg", "Body": b"x"}
    assert refusal(camera.put_object, **put) == DENIED
    who = {"AWS": "arn:aws:iam::000000000000:user/camera"}
    granted = allow(who, "s3:PutObject", f"arn:aws:s3:::{bucket}/${{aws:username}}/*")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(granted))
    camera.put_object(**put)
    assert s3.get_object(Bucket=bucket, Key="camera/1.jpg")["Body"].read() == b"x"
    assert refusal(camera.put_object, **put | {"Key": "other/1.jpg"}) == DENIED
    assert refusal(camera.get_object, Bucket=bucket, Key="camera/1.jpg") == DENIED
    assert refusal(camera.delete_object, Bucket=bucket, Key="camera/1.jpg") == DENIED
    assert refusal(camera.list_objects_v2, Bucket=bucket) == DENIED
    assert refusal(camera.get_bucket_policy, Bucket=bucket) == DENIED
    assert refusal(camera.put_object, **put, Tagging="a=b") == DENIED  # which needs PutObjectTagging
    assert refusal(camera.list_buckets) == DENIED
    assert refusal(camera.create_bucket, Bucket="cameras-own") == DENIED
    key = keys["camera"]
    sts = boto3.client(
        "sts",
        endpoint_url=place.served.url,
        region_name="us-east-1",
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
    )
    assert sts.get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:user/camera"


def test_a_deny_wins_and_the_owners_root_still_reaches_the_policy(s3: Any, bucket: str, refusal: Refusal) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    shut = [
        allow("*", "s3:*", f"arn:aws:s3:::{bucket}/*", "Deny"),
        allow("*", "s3:*", f"arn:aws:s3:::{bucket}", "Deny"),
        allow("*", "s3:GetObject", f"arn:aws:s3:::{bucket}/*"),
    ]
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(*shut))
    assert refusal(s3.get_object, Bucket=bucket, Key="k") == DENIED
    assert refusal(s3.list_objects_v2, Bucket=bucket) == DENIED
    assert s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})["Errors"][0]["Code"] == "AccessDenied"
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"] == shut
    s3.delete_bucket_policy(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert refusal(s3.get_bucket_policy, Bucket=bucket) == ("NoSuchBucketPolicy", 404)


def test_a_public_policy_needs_public_access_and_is_undone_by_the_block(
    s3: Any, nobody: Any, bucket: str, refusal: Refusal, place: S3Place
) -> None:
    s3.put_object(Bucket=bucket, Key="page.html", Body=b"<p>")
    public = policy(allow("*", "s3:GetObject", f"arn:aws:s3:::{bucket}/*"))
    assert refusal(nobody.get_object, Bucket=bucket, Key="page.html") == DENIED
    assert refusal(s3.put_bucket_policy, Bucket=bucket, Policy=public) == DENIED  # as buckets are made
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN)
    s3.put_bucket_policy(Bucket=bucket, Policy=public)
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True
    with urllib.request.urlopen(f"{place.served.url}/{bucket}/page.html") as answer:
        assert answer.read() == b"<p>"
    assert refusal(nobody.get_object, Bucket=bucket, Key="not-there") == DENIED  # who may not list is not told
    assert refusal(nobody.put_object, Bucket=bucket, Key="page.html", Body=b"!") == DENIED
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN | {"RestrictPublicBuckets": True})
    assert refusal(nobody.get_object, Bucket=bucket, Key="page.html") == DENIED
    assert s3.get_object(Bucket=bucket, Key="page.html")["Body"].read() == b"<p>"


def test_other_accounts_say_that_they_would_pay_where_requesters_do(
    s3: Any, other: Any, nobody: Any, bucket: str, refusal: Refusal
) -> None:
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(allow("*", "s3:GetObject", f"arn:aws:s3:::{bucket}/*")))
    assert nobody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "Requester"
    named = {"Bucket": bucket, "Key": "k"}
    assert refusal(nobody.get_object, **named, RequestPayer="requester") == DENIED
    assert refusal(other.get_object, **named) == DENIED
    assert other.get_object(**named, RequestPayer="requester")["Body"].read() == b"x"
    signed = other.generate_presigned_url("get_object", Params={**named, "RequestPayer": "requester"})
    with urllib.request.urlopen(signed) as answer:
        assert answer.read() == b"x"
    assert s3.get_object(**named)["Body"].read() == b"x"
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    assert other.get_object(**named)["Body"].read() == b"x"


def test_conditions_of_prefix_tags_encryption_and_address(s3: Any, camera: Any, bucket: str, refusal: Refusal) -> None:
    who, everything = {"AWS": "000000000000"}, f"arn:aws:s3:::{bucket}/*"
    tagged = {"StringEquals": {"s3:ExistingObjectTag/ward": "7"}}
    sealed = {
        "StringEquals": {"s3:x-amz-server-side-encryption": "AES256"},
        "IpAddress": {"aws:SourceIp": "127.0.0.0/8"},
    }
    s3.put_bucket_policy(
        Bucket=bucket,
        Policy=policy(
            allow(who, "s3:GetObject", everything, Condition=tagged),
            allow(who, "s3:PutObject", everything, Condition=sealed),
            allow(who, "s3:ListBucket", f"arn:aws:s3:::{bucket}", Condition={"StringLike": {"s3:prefix": "in/*"}}),
        ),
    )
    s3.put_object(Bucket=bucket, Key="in/a", Body=b"a", Tagging="ward=7")
    s3.put_object(Bucket=bucket, Key="in/b", Body=b"b", Tagging="ward=8")
    assert camera.get_object(Bucket=bucket, Key="in/a")["Body"].read() == b"a"
    assert refusal(camera.get_object, Bucket=bucket, Key="in/b") == DENIED
    assert refusal(camera.put_object, Bucket=bucket, Key="c", Body=b"c") == DENIED
    camera.put_object(Bucket=bucket, Key="c", Body=b"c", ServerSideEncryption="AES256")
    assert camera.list_objects_v2(Bucket=bucket, Prefix="in/")["KeyCount"] == 2
    assert refusal(camera.list_objects_v2, Bucket=bucket) == DENIED
    assert refusal(camera.copy_object, Bucket=bucket, Key="d", CopySource=f"{bucket}/in/b") == DENIED


@pytest.mark.parametrize(
    "document",
    [
        "{",
        policy({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::BUCKET/*"}),
        policy(allow("*", "s3:Fly", "arn:aws:s3:::BUCKET/*")),
        policy(allow("*", "s3:GetObject", "arn:aws:s3:::elsewhere/*")),
        policy(allow({"AWS": "nobody"}, "s3:GetObject", "arn:aws:s3:::BUCKET/*")),
        policy(allow("*", "s3:GetObject", "arn:aws:s3:::BUCKET/*", Condition={"StringEquals": {"s3:moon": "full"}})),
        policy(allow("*", "s3:GetObject", "arn:aws:s3:::BUCKET/*", Condition={"StringMoon": {"s3:prefix": "x"}})),
        policy({"Effect": "Allow", "NotPrincipal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::BUCKET"}),
    ],
)
def test_a_policy_that_would_not_be_enforced_is_refused(s3: Any, bucket: str, document: str, refusal: Refusal) -> None:
    asked = {"Bucket": bucket, "Policy": document.replace("BUCKET", bucket)}
    assert refusal(s3.put_bucket_policy, **asked) == ("MalformedPolicy", 400)
    assert refusal(s3.get_bucket_policy, Bucket=bucket) == ("NoSuchBucketPolicy", 404)


def test_another_account_has_buckets_of_its_own(s3: Any, other: Any, refusal: Refusal) -> None:
    other.create_bucket(Bucket="others-bucket")
    other.put_object(Bucket="others-bucket", Key="k", Body=b"theirs")
    assert [each["Name"] for each in other.list_buckets()["Buckets"]] == ["others-bucket"]
    assert "others-bucket" not in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    assert refusal(s3.get_object, Bucket="others-bucket", Key="k") == DENIED
    assert refusal(s3.create_bucket, Bucket="others-bucket") == ("BucketAlreadyExists", 409)
    owner = {"Bucket": "others-bucket", "Key": "k", "ExpectedBucketOwner": OTHER}
    assert other.get_object(**owner)["Body"].read() == b"theirs"
    assert refusal(other.get_object, **owner | {"ExpectedBucketOwner": "000000000000"}) == DENIED
    granted = allow({"AWS": "arn:aws:iam::000000000000:root"}, "s3:GetObject", "arn:aws:s3:::others-bucket/*")
    other.put_bucket_policy(Bucket="others-bucket", Policy=policy(granted))
    assert s3.get_object(Bucket="others-bucket", Key="k")["Body"].read() == b"theirs"
    other.delete_object(Bucket="others-bucket", Key="k")
    other.delete_bucket(Bucket="others-bucket")


def test_lists_are_off_until_ownership_says_otherwise(s3: Any, nobody: Any, bucket: str, refusal: Refusal) -> None:
    off = ("AccessControlListNotSupported", 400)
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"] == [
        {"ObjectOwnership": "BucketOwnerEnforced"}
    ]
    assert refusal(s3.put_bucket_acl, Bucket=bucket, ACL="public-read") == off
    assert refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"x", ACL="public-read") == off
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="bucket-owner-full-control")
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    assert refusal(s3.put_object_acl, Bucket=bucket, Key="k", ACL="public-read") == DENIED  # public access is blocked
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN)
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    assert nobody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    groups = [grant["Grantee"].get("URI", "") for grant in s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]]
    assert groups == ["http://acs.amazonaws.com/groups/global/AllUsers", ""]
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert nobody.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    enforced = {"Bucket": bucket, "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}}
    refused = refusal(s3.put_bucket_ownership_controls, **enforced)
    assert refused == ("InvalidBucketAclWithObjectOwnership", 400)
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_bucket_ownership_controls(**enforced)
    assert refusal(nobody.get_object, Bucket=bucket, Key="k") == DENIED


def test_grants_name_accounts_and_who_writes_an_object_owns_it(
    s3: Any, other: Any, place: S3Place, refusal: Refusal
) -> None:
    s3.create_bucket(Bucket="shared-by-lists", ObjectOwnership="ObjectWriter")
    s3.put_bucket_acl(
        Bucket="shared-by-lists", GrantWrite=f'id="{canonical_id(OTHER)}"', GrantRead=f"id={canonical_id(OTHER)}"
    )
    other.put_object(Bucket="shared-by-lists", Key="k", Body=b"theirs")
    assert other.list_objects_v2(Bucket="shared-by-lists", FetchOwner=True)["Contents"][0]["Owner"]["ID"] == (
        canonical_id(OTHER)
    )
    assert refusal(s3.get_object, Bucket="shared-by-lists", Key="k") == DENIED
    other.put_object_acl(Bucket="shared-by-lists", Key="k", ACL="bucket-owner-read")
    assert s3.get_object(Bucket="shared-by-lists", Key="k")["Body"].read() == b"theirs"
    assert refusal(s3.put_object_acl, Bucket="shared-by-lists", Key="k", ACL="private") == DENIED
    unknown = refusal(s3.put_bucket_acl, Bucket="shared-by-lists", GrantRead='id="nobody"')
    assert unknown == ("InvalidArgument", 400)
    s3.delete_object(Bucket="shared-by-lists", Key="k")
    s3.delete_bucket(Bucket="shared-by-lists")


def test_who_may_write_by_a_list_says_who_may_read(s3: Any, nobody: Any, bucket: str) -> None:
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN)
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    nobody.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read", Tagging="a=b")
    assert nobody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    upload = nobody.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    nobody.abort_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload)


@pytest.mark.parametrize("closed", ["list", "policy"])
def test_who_was_admitted_to_an_object_does_not_get_the_one_that_replaces_it(
    place: S3Place, s3: Any, nobody: Any, bucket: str, refusal: Refusal, closed: str
) -> None:
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN)
    if closed == "list":
        rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
        s3.put_object(Bucket=bucket, Key="k", Body=b"for all", ACL="public-read")
    else:
        granted = allow("*", "s3:GetObject", f"arn:aws:s3:::{bucket}/*")
        granted["Condition"] = {"StringEquals": {"s3:ExistingObjectTag/for": "all"}}
        s3.put_bucket_policy(Bucket=bucket, Policy=policy(granted))
        s3.put_object(Bucket=bucket, Key="k", Body=b"for all", Tagging="for=all")
    assert nobody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"for all"
    with ThreadPoolExecutor(1) as other, held(place.objects._index._database) as commit:
        writing = other.submit(s3.put_object, Bucket=bucket, Key="k", Body=b"secret")
        commit.until_due()
        commit.after("FROM objects")
        assert refusal(nobody.get_object, Bucket=bucket, Key="k") == DENIED
        assert commit.happened
        writing.result()


def test_nobody_overrides_headers_of_an_answer(s3: Any, nobody: Any, bucket: str) -> None:
    """Whoever may read a public object could else make a page of it."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"<script>")
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(allow("*", "s3:GetObject", f"arn:aws:s3:::{bucket}/*")))
    asked = {"Bucket": bucket, "Key": "k", "ResponseContentType": "text/html"}
    assert nobody.get_object(Bucket=bucket, Key="k")["ContentType"] == "binary/octet-stream"
    with pytest.raises(ClientError, match="cannot be used for anonymous GET requests"):
        nobody.get_object(**asked)
    assert s3.get_object(**asked)["ContentType"] == "text/html"
    link = s3.generate_presigned_url("get_object", Params=asked)
    with urllib.request.urlopen(link) as answer:
        assert answer.headers["Content-Type"] == "text/html"
