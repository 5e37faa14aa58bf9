"""What cannot be had is refused at creation, in SageMaker's words; what means harm gets nothing."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Lab

Change = dict[str, Any]
S3 = {"S3DataType": "S3Prefix", "S3Uri": "s3://lab/data"}
FILES = {
    "FileSystemDataSource": {
        "FileSystemId": "fs-0123456789a",
        "FileSystemAccessMode": "ro",
        "FileSystemType": "EFS",
        "DirectoryPath": "/data",
    }
}


def channel(**further: Any) -> list[dict[str, Any]]:
    return [{"ChannelName": "train", "DataSource": {"S3DataSource": {**S3, **further.pop("S3", {})}}, **further}]


REFUSED: list[tuple[str, Change]] = [
    ("ValidationException", {"TrainingJobName": "-no"}),
    ("ValidationException", {"RoleArn": "me"}),
    ("ValidationException", {"HyperParameters": {"epochs": "1"}}),
    ("ValidationException", {"HyperParameters": {"sagemaker_program": "train.py"}}),
    (
        "ValidationException",
        {"HyperParameters": {"sagemaker_program": "../x.py", "sagemaker_submit_directory": "s3://lab/code"}},
    ),
    ("ValidationException", {"OutputDataConfig": {"S3OutputPath": "s3://nobodys/out"}}),
    ("ValidationException", {"OutputDataConfig": {"S3OutputPath": "https://lab/out"}}),
    ("NotImplemented", {"OutputDataConfig": {"S3OutputPath": "s3://lab/out", "KmsKeyId": "k"}}),
    ("ValidationException", {"InputDataConfig": channel(S3={"S3Uri": "s3://nobodys/data"})}),
    ("ValidationException", {"InputDataConfig": channel() + channel()}),
    ("ValidationException", {"InputDataConfig": [{**channel()[0], "ChannelName": ".."}]}),
    ("NotImplemented", {"InputDataConfig": channel(S3={"S3DataType": "ManifestFile"})}),
    ("NotImplemented", {"InputDataConfig": channel(S3={"InstanceGroupNames": ["one"]})}),
    ("NotImplemented", {"InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": S3, **FILES}}]}),
    ("NotImplemented", {"InputDataConfig": channel(InputMode="Pipe")}),
    ("NotImplemented", {"InputDataConfig": channel(CompressionType="Gzip")}),
    ("NotImplemented", {"InputDataConfig": channel(ShuffleConfig={"Seed": 1})}),
    ("NotImplemented", {"AlgorithmSpecification": {"TrainingInputMode": "Pipe"}}),
    ("NotImplemented", {"AlgorithmSpecification": {"TrainingInputMode": "File", "AlgorithmName": "mine"}}),
    ("ResourceLimitExceeded", {"ResourceConfig": {"InstanceCount": 3}}),
    ("NotImplemented", {"ResourceConfig": {"InstanceCount": 1, "KeepAlivePeriodInSeconds": 60}}),
    ("ValidationException", {"StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 90}}),
    ("ValidationException", {"EnableManagedSpotTraining": True}),
    (
        "ValidationException",
        {
            "EnableManagedSpotTraining": True,
            "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 30},
        },
    ),
    ("ValidationException", {"CheckpointConfig": {"S3Uri": "s3://lab/kept", "LocalPath": "/opt/ml/model"}}),
    ("NotImplemented", {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}}),
    ("NotImplemented", {"RetryStrategy": {"MaximumRetryAttempts": 1}}),
    ("ValidationException", {"Tags": [{"Key": "a", "Value": "b"}, {"Key": "a", "Value": "c"}]}),
    ("ValidationException", {"Tags": [{"Key": "aws:a", "Value": "b"}]}),
    ("ValidationException", {"Tags": [{"Key": "a" * 129, "Value": "b"}]}),
    ("NotImplemented", {"ResourceConfig": {"InstanceCount": 1, "VolumeKmsKeyId": "k"}}),
    ("NotImplemented", {"ProfilerConfig": {"S3OutputPath": "s3://lab/profile"}}),
]
BAD_REGEX = ["(", "no group", "(?=ahead)(a)", r"(a)\1"]


def refused(lab: Lab, request: dict[str, Any]) -> str:
    with pytest.raises(ClientError) as problem:
        lab.sagemaker.create_training_job(**request)
    return str(problem.value.response["Error"]["Code"])


@pytest.mark.parametrize(
    ("code", "change"), REFUSED, ids=[f"{at}-{next(iter(c))}" for at, (_, c) in enumerate(REFUSED)]
)
def test_what_cannot_be_had_is_refused(lab: Lab, code: str, change: Change) -> None:
    assert refused(lab, {**lab.request("refused", "print(1)"), **change}) == code
    assert lab.sagemaker.list_training_jobs(NameContains="refused")["TrainingJobSummaries"] == []


@pytest.mark.parametrize("expression", BAD_REGEX)
def test_expressions_that_cannot_be_used_are_refused(lab: Lab, expression: str) -> None:
    algorithm = {"MetricDefinitions": [{"Name": "loss", "Regex": expression}]}
    assert refused(lab, lab.request("refused", "print(1)", Algorithm=algorithm)) == "ValidationException"


def test_a_name_is_used_once_and_unknown_ones_are_not_found(lab: Lab) -> None:
    lab.create("once", "print(1)")
    assert refused(lab, lab.request("once", "print(1)")) == "ResourceInUse"
    lab.ended("once")
    assert refused(lab, lab.request("once", "print(1)")) == "ResourceInUse"
    lab.sagemaker.delete_training_job(TrainingJobName="once")
    for operation in ("describe_training_job", "stop_training_job", "delete_training_job"):
        with pytest.raises(ClientError, match=r"ValidationException.*Requested resource not found"):
            getattr(lab.sagemaker, operation)(TrainingJobName="once")


def test_jobs_are_listed_by_pages(lab: Lab) -> None:
    for at in range(3):
        lab.create(f"listed-{at}", "print(1)")
    for at in range(3):
        lab.ended(f"listed-{at}")
    pages = lab.sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains="listed", SortBy="Name", SortOrder="Descending", PaginationConfig={"PageSize": 2}
    )
    names = [[each["TrainingJobName"] for each in page["TrainingJobSummaries"]] for page in pages]
    assert names == [["listed-2", "listed-1"], ["listed-0"]]
    found = lab.sagemaker.list_training_jobs(NameContains="listed", StatusEquals="Failed")["TrainingJobSummaries"]
    assert found == []
    with pytest.raises(ClientError, match="NextToken"):
        lab.sagemaker.list_training_jobs(NextToken="bm9ib2R5")


def test_tags_are_kept_and_changed(lab: Lab) -> None:
    arn = lab.create("tagged", "print(1)", Tags=[{"Key": "ward", "Value": "7"}, {"Key": "for", "Value": "a test"}])
    added = lab.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "ward", "Value": "8"}])["Tags"]
    assert added == [{"Key": "ward", "Value": "8"}, {"Key": "for", "Value": "a test"}]
    lab.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["for", "nobody's"])
    assert lab.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "ward", "Value": "8"}]
    many = [{"Key": f"k{at}", "Value": ""} for at in range(50)]
    for request, code in (
        ({"ResourceArn": arn, "Tags": many}, "ValidationException"),
        ({"ResourceArn": f"{arn}-other", "Tags": many}, "ValidationException"),
        ({"ResourceArn": arn.replace("training-job", "endpoint"), "Tags": many}, "NotImplemented"),
    ):
        with pytest.raises(ClientError, match=code):
            lab.sagemaker.add_tags(**request)
    assert lab.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "ward", "Value": "8"}]
    lab.ended("tagged")
    assert lab.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "ward", "Value": "8"}]


HARMS = """
import os, socket
from pathlib import Path

model = Path(os.environ["SM_MODEL_DIR"])
(model / "good").write_text("good")
(model / "link").symlink_to("/etc/hostname")
(model / "linked").symlink_to("/opt/ml/input")
os.mkfifo(model / "pipe")
os.symlink("/etc/hostname", "/opt/ml/output/failure")
for path in ("/opt/ml/mine", "/opt/ml/input/mine", "/usr/mine", "/var/task/mine"):
    try:
        Path(path).write_text("mine")
        print("WROTE", path)
    except OSError:
        pass
try:
    os.rename("/opt/ml/model", "/opt/ml/other")
    print("RENAMED")
except OSError:
    pass
print("sees", sorted(name for name in os.environ if name.startswith("AWS_")))
try:
    socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), 5)
    print("CONNECTED")
except OSError:
    print("no network")
raise SystemExit(5)
"""


def test_a_script_that_means_harm_gets_nothing(lab: Lab) -> None:
    port = str(lab.place.port("api"))
    lab.create("harms", HARMS, EnableNetworkIsolation=True, Environment={"PORT": port})
    job = lab.ended("harms")
    printed = lab.printed("harms")
    assert "no network" in printed and "sees []" in printed
    assert not {"CONNECTED", "RENAMED"} & set(printed) and not any(line.startswith("WROTE") for line in printed)
    assert job["FailureReason"].startswith("AlgorithmError: ExecuteUserScriptError: ExitCode 5")
    lab.create("harms-on", HARMS.replace("SystemExit(5)", "SystemExit(0)"), Environment={"PORT": port})
    assert lab.ended("harms-on")["TrainingJobStatus"] == "Completed"
    assert lab.model("harms-on") == {"good": b"good"}


def test_an_archive_that_leads_out_fails_its_job_alone(lab: Lab) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        entry = tarfile.TarInfo("../../model/out")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    request = lab.request("leads-out", "print(1)")
    lab.s3.put_object(Bucket="lab", Key="code/leads-out.tar.gz", Body=made.getvalue())
    lab.sagemaker.create_training_job(**request)
    assert "cannot be unpacked" in lab.ended("leads-out")["FailureReason"]
    request = lab.request("no-archive", "print(1)")
    lab.s3.put_object(Bucket="lab", Key="code/no-archive.tar.gz", Body=b"not an archive")
    lab.sagemaker.create_training_job(**request)
    assert "cannot be unpacked" in lab.ended("no-archive")["FailureReason"]


def test_keys_that_are_no_paths_fail_the_job(lab: Lab) -> None:
    lab.s3.put_object(Bucket="lab", Key="odd/a/../../b", Body=b"x")
    lab.create("odd", "print(1)", InputDataConfig=channel(S3={"S3Uri": "s3://lab/odd/"}))
    assert "cannot be the path of a file" in lab.ended("odd")["FailureReason"]
