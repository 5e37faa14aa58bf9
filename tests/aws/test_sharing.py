"""Two capabilities that share one service, as SageMaker's training jobs and model packages do."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from littoral.aws import coverage
from littoral.aws.registry import NotInTheModel, operations
from littoral.aws.service import Call, Output, operation
from tests.support.served import served


class Jobs:
    @operation()
    async def stop_training_job(self, call: Call, *, training_job_name: str) -> Output:
        return {}


class Packages:
    @operation()
    async def describe_model_package(self, call: Call, *, model_package_name: str) -> Output:
        return {"ModelPackageArn": f"of {model_package_name}"}


def test_each_call_reaches_the_one_whose_operation_it_is() -> None:
    with served({"sagemaker": (Jobs(), Packages())}) as running:
        client: Any = boto3.client("sagemaker", **running.client_kwargs)
        assert client.describe_model_package(ModelPackageName="m")["ModelPackageArn"] == "of m"
        assert client.stop_training_job(TrainingJobName="j")["ResponseMetadata"]["HTTPStatusCode"] == 200
        with pytest.raises(client.exceptions.ClientError, match="NotImplemented"):
            client.list_domains()
    there = coverage.of("sagemaker", (Jobs(), Packages())).there
    assert [each.name for each in there] == ["DescribeModelPackage", "StopTrainingJob"]


def test_no_operation_is_two_apis() -> None:
    with pytest.raises(NotInTheModel, match="StopTrainingJob is another one's"):
        operations("sagemaker", (Jobs(), Jobs()))
