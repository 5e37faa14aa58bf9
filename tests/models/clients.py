"""What tests ask of a place's models, through boto3."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.served import Served


def client(place: Served, service: str) -> Any:
    return boto3.client(service, config=Config(retries={"total_max_attempts": 1}), **place.client_kwargs)


def registered(s3: Any, sagemaker: Any, name: str, data: bytes, *, stage: str = "Approved") -> str:
    """A version of the model ``name``, which is made where it is the first; its ARN."""
    with contextlib.suppress(ClientError):
        sagemaker.create_model_package_group(ModelPackageGroupName=name)
    s3.put_object(Bucket="models", Key=f"{name}.onnx", Body=data)
    made = sagemaker.create_model_package(
        ModelPackageGroupName=name,
        ModelApprovalStatus=stage,
        InferenceSpecification={"Containers": [{"Image": "onnx", "ModelDataUrl": f"s3://models/{name}.onnx"}]},
    )
    return str(made["ModelPackageArn"])


def settled(sagemaker: Any, endpoint: str) -> Any:
    """Once it is neither being made nor changed."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        told = sagemaker.describe_endpoint(EndpointName=endpoint)
        if told["EndpointStatus"] not in ("Creating", "Updating"):
            return told
        time.sleep(0.05)
    raise AssertionError(f"{endpoint} is still {told['EndpointStatus']}")
