"""Endpoints through boto3: made, asked in every form, changed; a broken model leaves the old one serving."""

from __future__ import annotations

import io
import json
import uuid
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from tests.models import nets
from tests.models.clients import registered, settled


def broken() -> bytes:
    """A well-formed file with an operator that nobody has."""
    return nets.linear().replace(b"Gemm", b"Gimm")


def configured(s3: Any, sagemaker: Any, data: bytes, **container: Any) -> str:
    """An endpoint configuration of one model; model and configuration have its name."""
    name = f"c-{uuid.uuid4().hex[:8]}"
    s3.put_object(Bucket="models", Key=name, Body=data)
    sagemaker.create_model(
        ModelName=name, PrimaryContainer={"Image": "onnx", "ModelDataUrl": f"s3://models/{name}", **container}
    )
    variant = {"VariantName": "all", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    return name


@pytest.mark.parametrize(
    "more",
    [
        {"MultiModelConfig": {"ModelCacheSetting": "Disabled"}},
        {"InferenceSpecificationName": "one"},
        {
            "ModelDataSource": {
                "S3DataSource": {"S3Uri": "s3://a/b", "S3DataType": "S3Object", "CompressionType": "None"}
            }
        },
    ],
)
def test_what_a_container_cannot_have_is_refused(s3: Any, sagemaker: Any, more: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="NotImplemented"):
        configured(s3, sagemaker, nets.linear(), **more)


@pytest.fixture(scope="module")
def endpoint(s3: Any, sagemaker: Any) -> str:
    name = f"e-{uuid.uuid4().hex[:8]}"
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=configured(s3, sagemaker, nets.linear()))
    assert settled(sagemaker, name)["EndpointStatus"] == "InService"
    return name


def test_every_form(runtime: Any, endpoint: str) -> None:
    def asked(body: bytes, form: str, **more: Any) -> Any:
        return runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType=form, **more)

    rows = [[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]]
    wanted = [[3.0, 5.0, 7.0, 9.0], [1.0, 1.0, 1.0, 1.0]]
    answer = asked(json.dumps({"instances": rows}).encode(), "application/json")
    assert json.loads(answer["Body"].read()) == {"predictions": wanted}
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("application/json", "all")
    assert json.loads(asked(json.dumps(rows).encode(), "application/json; charset=utf-8")["Body"].read()) == wanted
    by_name = asked(json.dumps({"inputs": {"x": rows}}).encode(), "application/json")
    assert json.loads(by_name["Body"].read()) == {"outputs": wanted}
    assert asked(b"1,2,3,4\n0,0,0,0\n", "text/csv")["Body"].read() == b"3.0,5.0,7.0,9.0\n1.0,1.0,1.0,1.0\n"
    saved = io.BytesIO()
    np.save(saved, np.array(rows, np.float32, order="F"))
    back = asked(saved.getvalue(), "application/x-npy")
    assert np.load(io.BytesIO(back["Body"].read()), allow_pickle=False).tolist() == wanted
    as_json = asked(saved.getvalue(), "application/x-npy", Accept="text/html, application/json;q=0.9")
    assert json.loads(as_json["Body"].read()) == wanted


def pickled() -> bytes:
    saved = io.BytesIO()
    np.save(saved, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return saved.getvalue()


@pytest.mark.parametrize(
    ("form", "body", "status", "said"),
    [
        ("application/json", b'{"instances": [[1, 2, 3]]}', 400, "shape"),
        ("application/json", b'{"instances": [[1, 2, 3, NaN]]}', 400, "NaN"),
        ("application/json", b'{"instances": [["a", 2, 3, 4]]}', 400, "x FP32[N, 4]"),
        ("application/json", b'{"instances": [{"y": [1, 2, 3, 4]}]}', 400, "missing"),
        ("application/json", b'{"inputs": {"x": [[1, 2, 3, 4]], "z": 1}}', 400, "no input z"),
        ("application/json", b"[" * 100_000, 400, "no JSON"),
        ("text/csv", b"1,2,3,nan\n", 400, "NaN"),
        ("text/csv", b"1,2\n3\n", 400, "one length"),
        ("application/x-npy", pickled(), 400, "pickle"),
        ("application/x-npy", b"\x93NUMPY\x01\x00", 400, "in numpy's form"),
        ("application/json", json.dumps([[0.0] * 4] * 1025).encode(), 400, "1025 rows"),
        ("text/html", b"<p>", 415, "a body is one of"),
    ],
)
def test_what_the_model_does_not_take(
    runtime: Any, endpoint: str, form: str, body: bytes, status: int, said: str
) -> None:
    with pytest.raises(runtime.exceptions.ModelError) as raised:
        runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType=form)
    answer = raised.value.response
    assert answer["OriginalStatusCode"] == status and said in answer["OriginalMessage"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424


def test_float64_of_numpy_is_another_type(runtime: Any, endpoint: str) -> None:
    saved = io.BytesIO()
    np.save(saved, np.zeros((1, 4)))
    with pytest.raises(runtime.exceptions.ModelError, match="FP64"):
        runtime.invoke_endpoint(EndpointName=endpoint, Body=saved.getvalue(), ContentType="application/x-npy")


def test_nobody_s_endpoint(runtime: Any, endpoint: str) -> None:
    with pytest.raises(ClientError, match=r"ValidationError.*not found"):
        runtime.invoke_endpoint(EndpointName="nobody", Body=b"[]")
    with pytest.raises(ClientError, match=r"ValidationError.*Variant other"):
        runtime.invoke_endpoint(EndpointName=endpoint, Body=b"[]", TargetVariant="other")


def test_a_broken_model_leaves_the_old_one_serving(s3: Any, sagemaker: Any, runtime: Any, endpoint: str) -> None:
    def answer() -> Any:
        return json.loads(runtime.invoke_endpoint(EndpointName=endpoint, Body=b"[[1, 1, 1, 1]]")["Body"].read())

    before = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    bad = configured(s3, sagemaker, broken())
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=bad)
    assert answer() == [[3.0] * 4]
    told = settled(sagemaker, endpoint)
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", before)
    assert "Gimm" in told["FailureReason"] and answer() == [[3.0] * 4]
    good = configured(s3, sagemaker, nets.linear(5.0))
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=good)
    told = settled(sagemaker, endpoint)
    assert told["EndpointConfigName"] == good and "FailureReason" not in told and answer() == [[6.0] * 4]
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=before)
    settled(sagemaker, endpoint)
    new = f"n-{uuid.uuid4().hex[:8]}"
    sagemaker.create_endpoint(EndpointName=new, EndpointConfigName=bad)
    assert settled(sagemaker, new)["EndpointStatus"] == "Failed"
    with pytest.raises(ClientError, match=r"ValidationError.*Failed"):
        runtime.invoke_endpoint(EndpointName=new, Body=b"[]")
    sagemaker.delete_endpoint(EndpointName=new)


def test_what_cannot_be_loaded_is_not_approved(s3: Any, sagemaker: Any) -> None:
    name = f"m-{uuid.uuid4().hex[:8]}"
    registered(s3, sagemaker, name, nets.linear())
    with pytest.raises(ClientError, match=r"ValidationException.*cannot be approved"):
        registered(s3, sagemaker, name, broken())
    arn = registered(s3, sagemaker, name, broken(), stage="PendingManualApproval")
    assert arn.endswith("/2")
    with pytest.raises(ClientError, match=r"ValidationException.*cannot be approved"):
        sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    told = sagemaker.describe_model_package(ModelPackageName=arn)
    assert told["ModelApprovalStatus"] == "PendingManualApproval"
    with pytest.raises(ClientError, match="not approved"):
        sagemaker.create_model(ModelName=name, PrimaryContainer={"ModelPackageName": arn})


def test_two_variants_by_weight_and_by_name(s3: Any, sagemaker: Any, runtime: Any) -> None:
    names = [configured(s3, sagemaker, nets.linear(scale)) for scale in (2.0, 3.0)]
    both = f"b-{uuid.uuid4().hex[:8]}"
    variants = [
        {"VariantName": f"v{at}", "ModelName": each, "InitialVariantWeight": float(at)} for at, each in enumerate(names)
    ]
    sagemaker.create_endpoint_config(EndpointConfigName=both, ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName=both, EndpointConfigName=both)
    assert len(settled(sagemaker, both)["ProductionVariants"]) == 2
    told = [runtime.invoke_endpoint(EndpointName=both, Body=b"[[1,1,1,1]]") for _ in range(5)]
    assert {each["InvokedProductionVariant"] for each in told} == {"v1"}
    other = runtime.invoke_endpoint(EndpointName=both, Body=b"[[1,1,1,1]]", TargetVariant="v0")
    assert json.loads(other["Body"].read()) == [[3.0] * 4]
    with pytest.raises(ClientError, match="has this configuration"):
        sagemaker.delete_endpoint_config(EndpointConfigName=both)
    sagemaker.delete_endpoint(EndpointName=both)
    sagemaker.delete_endpoint_config(EndpointConfigName=both)
    for each in names:
        sagemaker.delete_model(ModelName=each)
    listed = sagemaker.list_models(NameContains=names[0])["Models"]
    assert listed == [] and sagemaker.list_endpoints(NameContains=both)["Endpoints"] == []
