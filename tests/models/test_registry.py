"""The registry through boto3: groups, versions, stages, lineage, digests and signatures; and what it does not take."""

from __future__ import annotations

import hashlib
import pickle
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from littoral.models.registry import Lineage, Registry
from littoral.models.registry.onnxfile import inspect
from littoral.models.registry.refusal import BadModel, BadName, NoSuch, Untrue
from littoral.models.registry.signing import Signer, check
from littoral.models.registry.version import statement
from littoral.store.embedded import EmbeddedStore
from tests.models import nets


@pytest.fixture
def name(sagemaker: Any) -> str:
    made = f"ward-{uuid.uuid4().hex[:8]}"
    arn = sagemaker.create_model_package_group(ModelPackageGroupName=made, ModelPackageGroupDescription="of pulses")
    assert arn["ModelPackageGroupArn"].endswith(f":model-package-group/{made}")
    return made


def put(s3: Any, key: str, data: bytes) -> str:
    s3.put_object(Bucket="models", Key=key, Body=data)
    return f"s3://models/{key}"


def package(sagemaker: Any, name: str, url: str, **more: Any) -> str:
    specification = {"Containers": [{"Image": "onnx", "ModelDataUrl": url}]}
    made = sagemaker.create_model_package(ModelPackageGroupName=name, InferenceSpecification=specification, **more)
    return str(made["ModelPackageArn"])


def refused(sagemaker: Any, name: str, url: str, **more: Any) -> str:
    with pytest.raises(ClientError) as raised:
        package(sagemaker, name, url, **more)
    error = raised.value.response["Error"]
    assert error["Code"] == "ValidationException", error
    return str(error["Message"])


def test_versions_with_their_lineage_and_signature(s3: Any, sagemaker: Any, name: str) -> None:
    data = nets.linear()
    url = put(s3, f"{name}/1.onnx", data)
    first = package(
        sagemaker,
        name,
        url,
        ModelPackageDescription="the first",
        MetadataProperties={"CommitId": "abc", "Repository": "https://code.example/ward"},
        CustomerMetadataProperties={"training-job": "ward-1", "data": "s3://models/pulses/", "metric.accuracy": "0.97"},
        ModelLifeCycle={"Stage": "Trial", "StageStatus": "Begun"},
    )
    assert first.endswith(f":model-package/{name}/1")
    s3.delete_object(Bucket="models", Key=f"{name}/1.onnx")  # the registry has what it has
    told = sagemaker.describe_model_package(ModelPackageName=first)
    about = told["CustomerMetadataProperties"]
    assert about["littoral.sha256"] == hashlib.sha256(data).hexdigest() and about["littoral.size"] == str(len(data))
    assert (about["training-job"], about["metric.accuracy"]) == ("ward-1", "0.97")
    said = statement(name, 1, about["littoral.sha256"], len(data))
    check(said, about["littoral.signature"], about["littoral.key"])
    with pytest.raises(Untrue):
        check(
            statement(name, 2, about["littoral.sha256"], len(data)), about["littoral.signature"], about["littoral.key"]
        )
    assert told["MetadataProperties"]["CommitId"] == "abc" and told["ModelLifeCycle"]["Stage"] == "Trial"
    assert (told["ModelPackageStatus"], told["ModelApprovalStatus"]) == ("Completed", "PendingManualApproval")
    assert told["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == url


def test_stages_and_lists(s3: Any, sagemaker: Any, name: str) -> None:
    url = put(s3, f"{name}.tar.gz", nets.archive({"code/train.py": b"import os", "./model.onnx": nets.linear(3.0)}))
    arns = [package(sagemaker, name, url) for _ in range(3)]
    sagemaker.update_model_package(
        ModelPackageArn=arns[1],
        ModelApprovalStatus="Approved",
        ApprovalDescription="held out: fine",
        CustomerMetadataProperties={"metric.recall": "0.9"},
    )
    told = sagemaker.describe_model_package(ModelPackageName=arns[1])
    assert (told["ModelApprovalStatus"], told["ApprovalDescription"]) == ("Approved", "held out: fine")
    listed = sagemaker.list_model_packages(ModelPackageGroupName=name, ModelApprovalStatus="Approved")
    assert [each["ModelPackageVersion"] for each in listed["ModelPackageSummaryList"]] == [2]
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=name, SortOrder="Descending", PaginationConfig={"PageSize": 2}
    )
    assert [each["ModelPackageVersion"] for page in pages for each in page["ModelPackageSummaryList"]] == [3, 2, 1]
    groups = sagemaker.list_model_package_groups(NameContains=name.upper())["ModelPackageGroupSummaryList"]
    assert [each["ModelPackageGroupName"] for each in groups] == [name]
    with pytest.raises(sagemaker.exceptions.ConflictException):
        sagemaker.delete_model_package_group(ModelPackageGroupName=name)
    for arn in arns:
        sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=name)
    with pytest.raises(ClientError, match="ValidationException"):
        sagemaker.describe_model_package_group(ModelPackageGroupName=name)


def test_a_token_makes_a_version_once_and_no_number_comes_twice(s3: Any, sagemaker: Any, name: str) -> None:
    url = put(s3, f"{name}.onnx", nets.linear())
    first = package(sagemaker, name, url, ClientToken="t-1")
    assert package(sagemaker, name, url, ClientToken="t-1") == first
    sagemaker.delete_model_package(ModelPackageName=first)
    assert package(sagemaker, name, url).endswith("/2")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pickle.dumps({"weights": [1.0]}), "pickle"),
        (b"PK\x03\x04 torch.save", "zip archive"),
        (b"", "empty"),
        (b"hello, world", "not an ONNX model"),
        (nets.linear()[:60], "not an ONNX model"),
        (nets.external("../../../../etc/passwd"), "external data"),
        (nets.external("weights.bin"), "external data"),
        (nets.archive({"a.onnx": nets.linear(), "b.onnx": nets.linear()}), "one .onnx file"),
        (nets.archive({"model.pt": b"x"}), "one .onnx file"),
        (nets.archive({"model.onnx": nets.linear()})[:-20], "cannot be read"),
    ],
    ids=("pickle", "torch", "empty", "text", "half", "above", "beside", "two", "none", "cut"),
)
def test_what_is_no_model_is_not_registered(s3: Any, sagemaker: Any, name: str, data: bytes, said: str) -> None:
    assert said in refused(sagemaker, name, put(s3, f"{name}.bin", data))
    assert sagemaker.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"] == []


def test_what_is_said_wrongly_is_refused(s3: Any, sagemaker: Any, name: str) -> None:
    url = put(s3, f"{name}.onnx", nets.linear())
    assert "NoSuchKey" in refused(sagemaker, name, "s3://models/nothing") or "does not exist" in refused(
        sagemaker, name, "s3://models/nothing"
    )
    assert "object of this place" in refused(sagemaker, name, "https://elsewhere.example/model.onnx")
    assert "place's own" in refused(sagemaker, name, url, CustomerMetadataProperties={"littoral.sha256": "0"})
    assert "finite" in refused(sagemaker, name, url, CustomerMetadataProperties={"metric.a": "nan"})
    assert "Approved" in refused(sagemaker, name, url, ModelApprovalStatus="Perhaps")
    assert "no model" in refused(sagemaker, "nobody", url)
    with pytest.raises(ClientError, match="NotImplemented"):
        package(sagemaker, name, url, ModelCard={"ModelCardContent": "{}", "ModelCardStatus": "Draft"})
    with pytest.raises(ClientError, match="already"):
        sagemaker.create_model_package_group(ModelPackageGroupName=name)


async def test_a_restart_finds_all_and_damage_is_seen(tmp_path: Path) -> None:
    async def opened() -> tuple[EmbeddedStore, Registry]:
        store = await EmbeddedStore.open(tmp_path / "store")
        signer = Signer.load_or_create(tmp_path / "key")
        return store, await Registry.open(store.records("models"), store.blobs("models"), signer)

    store, registry = await opened()
    lineage = Lineage(data="s3://pulses/", code="abc", training_job="ward-1", parent="ward/0")
    made = await registry.register("ward", nets.linear(), lineage=lineage, metrics={"accuracy": 0.5}, stage="Approved")
    await registry.register("ward", nets.linear(3.0))
    await store.close()
    store, registry = await opened()
    try:
        found = registry.version("ward")
        assert found == made and found.lineage == lineage and found.metrics == {"accuracy": 0.5}
        assert [str(each) for each in (*found.inputs, *found.outputs)] == ["x FP32[N, 4]", "y FP32[N, 4]"]
        assert await registry.data(found) == nets.linear()
        await store.blobs("models").put(found.sha256, nets.linear(4.0))
        with pytest.raises(Untrue):
            await registry.data(found)
        with pytest.raises(BadName):
            await registry.register("../ward", nets.linear())
        await registry.delete("ward", 1)
        assert await store.blobs("models").info(found.sha256) is None
        with pytest.raises(NoSuch):
            registry.version("ward")
    finally:
        await store.close()


@given(st.data())
def test_no_damage_breaks_the_reader(data: st.DataObject) -> None:
    """Whatever the bytes are, they are a model or BadModel says why they are none."""
    good = bytearray(nets.linear())
    for _ in range(data.draw(st.integers(1, 8))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        inspect(bytes(good[: data.draw(st.integers(0, len(good)))]))
    except BadModel as problem:
        assert str(problem)
