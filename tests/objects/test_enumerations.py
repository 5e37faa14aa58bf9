"""Where S3's model has a set of values, S3 takes no other: every such member of every operation that is served, sent
with all else as it should be. A member that is new to the model needs a row here, or a check."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

from littoral.aws.models import python_name
from tests.aws.test_enumerations import WRONG, Path, served
from tests.objects.conftest import S3Place

LENIENT = frozenset(  # what else they say is taken as if it had not been said; as S3, of what is known
    ("RequestPayer", "ChecksumMode", "OptionalObjectAttributes")
)
SHOWN_ELSEWHERE = frozenset(("ChecksumAlgorithm",))  # which botocore sets itself: test_checksums
NOT_HERE = frozenset(("SelectParameters", "OutputLocation"))  # refused with all that is in them
RULE = {
    "ID": "a",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "Priority": 1,
    "DeleteMarkerReplication": {"Status": "Disabled"},
    "Destination": {"Bucket": "arn:aws:s3:::elsewhere"},
}
MOVE = {"Days": 30, "StorageClass": "GLACIER"}
MOVES = {"Rules": [{"ID": "a", "Status": "Enabled", "Filter": {"Prefix": "q"}, "Transitions": [MOVE]}]}
ROLE = "arn:aws:iam::000000000000:role/replication"


def calls(s3: Any, bucket: str, target: str) -> dict[str, dict[str, Any]]:
    """Of each operation a call that is answered."""
    here, object = {"Bucket": bucket}, {"Bucket": bucket, "Key": "k"}
    me = s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    acl = {"Owner": {"ID": me}, "Grants": [{"Grantee": {"Type": "CanonicalUser", "ID": me}, "Permission": "READ"}]}
    upload = {**object, "UploadId": s3.create_multipart_upload(**object)["UploadId"]}
    part = {"PartNumber": 1, "ETag": s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]}
    rules = [{**RULE, "Destination": {"Bucket": f"arn:aws:s3:::{target}"}}]
    logged = {"LoggingEnabled": {"TargetBucket": target, "TargetPrefix": "x"}}
    sse = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": "2090-01-01T00:00:00Z"}
    return {
        "CompleteMultipartUpload": {**upload, "MultipartUpload": {"Parts": [part]}},
        "CopyObject": {"Bucket": bucket, "Key": "copy", "CopySource": object},
        "CreateBucket": {"Bucket": f"{bucket}-more"},
        "CreateMultipartUpload": object,
        "GetObjectAttributes": {**object, "ObjectAttributes": ["ETag"]},
        "ListMultipartUploads": here,
        "ListObjectVersions": here,
        "ListObjects": here,
        "ListObjectsV2": here,
        "PutBucketAcl": {**here, "AccessControlPolicy": acl},
        "PutBucketEncryption": {**here, "ServerSideEncryptionConfiguration": sse},
        "PutBucketLifecycleConfiguration": {**here, "LifecycleConfiguration": MOVES},
        "PutBucketLogging": {**here, "BucketLoggingStatus": logged},
        "PutBucketNotificationConfiguration": {**here, "NotificationConfiguration": {}},
        "PutBucketOwnershipControls": {**here, "OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}},
        "PutBucketReplication": {**here, "ReplicationConfiguration": {"Role": ROLE, "Rules": rules}},
        "PutBucketRequestPayment": {**here, "RequestPaymentConfiguration": {"Payer": "BucketOwner"}},
        "PutBucketVersioning": {"Bucket": target, "VersioningConfiguration": {"Status": "Enabled"}},
        "PutBucketWebsite": {**here, "WebsiteConfiguration": {"IndexDocument": {"Suffix": "i"}}},
        "PutObject": {"Bucket": bucket, "Key": "other", "Body": b"x"},
        "PutObjectAcl": {**object, "AccessControlPolicy": acl},
        "PutObjectLegalHold": {**object, "LegalHold": {"Status": "OFF"}},
        "PutObjectLockConfiguration": {**here, "ObjectLockConfiguration": lock},
        "PutObjectRetention": {**object, "Retention": retention},
        "RestoreObject": {"Bucket": bucket, "Key": "cold", "RestoreRequest": {"Days": 1}},
    }


BESIDE: dict[str, dict[str, Any]] = {  # what a structure must have for botocore to send it
    "TopicConfigurations": {"TopicArn": "arn:aws:sns:us-east-1:000000000000:t", "Events": ["s3:ObjectCreated:*"]},
    "QueueConfigurations": {"QueueArn": "arn:aws:sqs:us-east-1:000000000000:q", "Events": ["s3:ObjectCreated:*"]},
    "LambdaFunctionConfigurations": {
        "LambdaFunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
        "Events": ["s3:ObjectCreated:*"],
    },
    "FilterRules": {"Value": "x"},
    "Transitions": {"Days": 30},
    "NoncurrentVersionTransitions": {"NoncurrentDays": 30},
    "RedirectAllRequestsTo": {"HostName": "there"},
    "ReplicationTime": {"Time": {"Minutes": 15}},
    "Metrics": {"EventThreshold": {"Minutes": 15}},
    "TargetGrants": {"Permission": "READ"},
    "Grantee": {"ID": "x", "Type": "CanonicalUser"},
    "AccessControlTranslation": {},
}


def put(call: dict[str, Any], path: Path) -> None:
    """The wrong value in its place, and around it what must be there."""
    at: Any = call
    name = ""
    for part, after in pairwise(path):
        name = name if part == "[]" else part
        fresh: Any = [] if after == "[]" else copy.deepcopy(BESIDE.get(name, {}))
        if part == "[]":
            at[:] = at or [fresh]
            at = at[0]
        else:
            at = at.setdefault(part, fresh)
    if path[-1] == "[]":
        at[:] = [WRONG]
    else:
        at[path[-1]] = WRONG


@pytest.fixture
def locked(s3: Any, bucket: str) -> str:
    name = f"{bucket}-locked"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True, ObjectOwnership="ObjectWriter")
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    s3.put_object(Bucket=name, Key="cold", Body=b"x", StorageClass="GLACIER")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return name


def test_no_value_is_taken_that_the_model_does_not_have(s3: Any, bucket: str, locked: str) -> None:
    taken = []
    for name, path in served("s3"):
        if path[0] in LENIENT | SHOWN_ELSEWHERE or NOT_HERE & set(path):
            continue
        asked = copy.deepcopy(calls(s3, locked, bucket)[name])
        put(asked, path)
        if path[0] == "ACL":
            asked.pop("AccessControlPolicy", None)
        try:
            getattr(s3, python_name(name))(**asked)
            taken.append(f"{name}: {'.'.join(path)}")
        except ClientError as refused:
            answer = refused.response
            assert answer["ResponseMetadata"]["HTTPStatusCode"] in (400, 501), (name, path, answer["Error"])
            assert answer["Error"]["Code"] not in ("NoSuchBucket", "NoSuchKey"), (name, path)
    assert taken == []


def test_the_calls_are_good_but_for_the_value(place: S3Place, s3: Any, bucket: str, locked: str) -> None:
    """Else what is refused above may be refused for another reason."""
    for name, asked in calls(s3, locked, bucket).items():
        getattr(s3, python_name(name))(**asked)
