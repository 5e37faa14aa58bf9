"""Every modelled error that can arise, through boto3, as a table: operation, input, code, status, message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from littoral.functions import Functions, FunctionSettings
from littoral.store.embedded import EmbeddedStore
from tests.functions.deploy import PYTHON, ROLE, zip_of
from tests.support.served import Served, served

CODE = zip_of(app__py="import extra\ndef handler(e, c): return extra.X\n")
LAYER = zip_of(**{"python/extra.py": "X = 7"})
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
LAYER_ARN = "arn:aws:lambda:us-east-1:000000000000:layer:l"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("functions")

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        functions = await Functions.open(store, folder, settings=FunctionSettings(concurrency=20))
        await functions.start()
        return {"lambda": functions.api, "close": functions.close, "routes": functions.routes()}

    with served(factory) as running:
        yield running


@pytest.fixture(scope="module")
def client(place: Served) -> Any:
    """With a layer ``l:1`` that has a policy, a function ``f`` with version 1 and alias ``live``."""
    client = boto3.client(
        "lambda", config=Config(parameter_validation=False, retries={"max_attempts": 0}), **place.client_kwargs
    )
    client.publish_layer_version(LayerName="l", Content={"ZipFile": LAYER}, CompatibleRuntimes=[PYTHON])
    client.add_layer_version_permission(
        LayerName="l", VersionNumber=1, StatementId="s", Action="lambda:GetLayerVersion", Principal="*"
    )
    client.create_function(
        FunctionName="f",
        Role=ROLE,
        Runtime=PYTHON,
        Handler="app.handler",
        Code={"ZipFile": CODE},
        Layers=[LAYER_ARN + ":1"],
        Publish=True,
    )
    client.get_waiter("function_active_v2").wait(FunctionName="f")
    client.get_waiter("published_version_active").wait(FunctionName="f", Qualifier="1")
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    client.add_permission(
        FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    return client


F: dict[str, Any] = {"FunctionName": "f"}
L1: dict[str, Any] = {"LayerName": "l", "VersionNumber": 1}
GRANT: dict[str, Any] = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
SHARE: dict[str, Any] = {"Action": "lambda:GetLayerVersion", "Principal": "*"}
INVALID, MODEL, MISSING = "InvalidParameterValueException", "ValidationException", "ResourceNotFoundException"
CONFLICT, STALE = "ResourceConflictException", "PreconditionFailedException"

ERRORS: list[tuple[str, dict[str, Any], str, int, str]] = [
    # layers
    ("publish_layer_version", {"LayerName": "l", "Content": {"ZipFile": b"no"}}, INVALID, 400, "Could not unzip"),
    ("publish_layer_version", {"LayerName": "l", "Content": {}}, INVALID, 400, "provide a source"),
    (
        "publish_layer_version",
        {"LayerName": "l", "Content": {"S3Bucket": "bucket", "S3Key": "k"}},
        INVALID,
        400,
        "no S3",
    ),
    ("publish_layer_version", {"LayerName": "a b", "Content": {"ZipFile": LAYER}}, MODEL, 400, "layerName"),
    ("get_layer_version", {"LayerName": "l", "VersionNumber": 9}, MISSING, 404, "does not exist"),
    ("get_layer_version_by_arn", {"Arn": LAYER_ARN + ":9"}, MISSING, 404, "does not exist"),
    ("get_layer_version_by_arn", {"Arn": LAYER_ARN}, MODEL, 400, "arn"),
    ("list_layer_versions", {"LayerName": "l", "Marker": "%"}, INVALID, 400, "Invalid Marker"),
    ("list_layers", {"MaxItems": 51}, MODEL, 400, "maxItems"),
    ("list_layers", {"CompatibleRuntime": "cobol"}, MODEL, 400, "compatibleRuntime"),
    ("add_layer_version_permission", {**L1, "StatementId": "s", **SHARE}, CONFLICT, 409, "already exists"),
    ("add_layer_version_permission", {**L1, "StatementId": "t", **SHARE, "RevisionId": "x"}, STALE, 412, "Revision Id"),
    ("add_layer_version_permission", {**L1, "VersionNumber": 9, "StatementId": "t", **SHARE}, MISSING, 404, ""),
    ("remove_layer_version_permission", {**L1, "StatementId": "t"}, MISSING, 404, "Statement t is not found"),
    ("remove_layer_version_permission", {**L1, "StatementId": "s", "RevisionId": "x"}, STALE, 412, "Revision Id"),
    ("get_layer_version_policy", {"LayerName": "l", "VersionNumber": 9}, MISSING, 404, "does not exist"),
    # configuration
    ("update_function_configuration", {**F, "Layers": [LAYER_ARN + ":9"]}, INVALID, 400, "Layer version"),
    ("update_function_configuration", {**F, "Layers": [LAYER_ARN]}, MODEL, 400, "layers"),
    (
        "update_function_configuration",
        {**F, "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:0:q"}},
        INVALID,
        400,
        "dead-letter",
    ),
    ("update_function_configuration", {**F, "SnapStart": {"ApplyOn": "PublishedVersions"}}, INVALID, 400, "SnapStart"),
    ("update_function_configuration", {**F, "LoggingConfig": {"SystemLogLevel": "WARN"}}, INVALID, 400, "is JSON"),
    ("update_function_configuration", {**F, "LoggingConfig": {"LogFormat": "XML"}}, MODEL, 400, "logFormat"),
    ("update_function_configuration", {**F, "TracingConfig": {"Mode": "Some"}}, MODEL, 400, "mode"),
    ("update_function_configuration", {**F, "Timeout": 0}, MODEL, 400, "timeout"),
    ("update_function_configuration", {**F, "RevisionId": "x", "Timeout": 4}, STALE, 412, "GetFunction"),
    ("update_function_configuration", {"FunctionName": "f:1", "Timeout": 4}, INVALID, 400, "versions do not support"),
    ("update_function_configuration", {"FunctionName": "none"}, MISSING, 404, "Function not found: arn:aws:lambda"),
    ("update_function_code", {**F, "ZipFile": b"no"}, INVALID, 400, "Could not unzip"),
    ("update_function_code", {**F, "ZipFile": CODE, "RevisionId": "x"}, STALE, 412, "Revision Id"),
    ("update_function_code", {"FunctionName": "none", "ZipFile": CODE}, MISSING, 404, "Function not found"),
    (
        "create_function",
        {**F, "Role": ROLE, "Runtime": PYTHON, "Handler": "a.b", "Code": {"ZipFile": CODE}},
        CONFLICT,
        409,
        "already exist",
    ),
    (
        "create_function",
        {**F, "Role": ROLE, "Code": {"ZipFile": CODE}},
        INVALID,
        400,
        "Runtime and Handler are mandatory",
    ),
    ("get_function", {**F, "Qualifier": "9"}, MISSING, 404, "Function not found"),
    ("get_function", {"FunctionName": "f:1", "Qualifier": "live"}, INVALID, 400, "does not match"),
    ("get_function_configuration", {**F, "Qualifier": "none"}, MISSING, 404, "Function not found"),
    ("list_functions", {"Marker": "%"}, INVALID, 400, "Invalid Marker"),
    ("list_functions", {"FunctionVersion": "SOME"}, MODEL, 400, "functionVersion"),
    ("delete_function", {**F, "Qualifier": "1"}, CONFLICT, 409, "point to it"),
    ("delete_function", {**F, "Qualifier": "$LATEST"}, INVALID, 400, "without deleting the function"),
    # versions and aliases
    ("publish_version", {**F, "CodeSha256": "x"}, INVALID, 400, "CodeSHA256"),
    ("publish_version", {**F, "RevisionId": "x"}, STALE, 412, "Revision Id"),
    ("list_versions_by_function", {"FunctionName": "none"}, MISSING, 404, "Function not found"),
    ("create_alias", {**F, "Name": "live", "FunctionVersion": "1"}, CONFLICT, 409, "Alias already exists"),
    ("create_alias", {**F, "Name": "7", "FunctionVersion": "1"}, MODEL, 400, "name"),
    ("create_alias", {**F, "Name": "x", "FunctionVersion": "9"}, MISSING, 404, "Function not found"),
    ("update_alias", {**F, "Name": "none", "FunctionVersion": "1"}, MISSING, 404, "Alias not found"),
    ("update_alias", {**F, "Name": "live", "RevisionId": "x"}, STALE, 412, "GetAlias"),
    ("get_alias", {**F, "Name": "none"}, MISSING, 404, "Cannot find alias arn"),
    # policies
    ("add_permission", {**F, "StatementId": "s", **GRANT}, CONFLICT, 409, "already exists"),
    ("add_permission", {**F, "StatementId": "t", **GRANT, "RevisionId": "x"}, STALE, 412, "GetPolicy"),
    ("add_permission", {**F, "StatementId": "t", **GRANT, "Principal": "nobody"}, INVALID, 400, "principal"),
    ("add_permission", {**F, "StatementId": "t", **GRANT, "Qualifier": "9"}, MISSING, 404, "Function not found"),
    ("remove_permission", {**F, "StatementId": "t"}, MISSING, 404, "is not found in resource policy"),
    ("remove_permission", {**F, "StatementId": "s", "RevisionId": "x"}, STALE, 412, "GetFunction/GetAlias"),
    ("get_policy", {**F, "Qualifier": "live"}, MISSING, 404, "does not exist"),
    # concurrency
    ("put_function_concurrency", {**F, "ReservedConcurrentExecutions": 19}, INVALID, 400, "below its minimum value"),
    ("put_function_concurrency", {**F, "ReservedConcurrentExecutions": -1}, MODEL, 400, "reserved"),
    (
        "put_function_concurrency",
        {"FunctionName": "f:1", "ReservedConcurrentExecutions": 1},
        INVALID,
        400,
        "do not support",
    ),
    (
        "put_provisioned_concurrency_config",
        {**F, "Qualifier": "1", "ProvisionedConcurrentExecutions": 0},
        MODEL,
        400,
        "",
    ),
    (
        "put_provisioned_concurrency_config",
        {**F, "Qualifier": "$LATEST", "ProvisionedConcurrentExecutions": 1},
        INVALID,
        400,
        "unpublished",
    ),
    (
        "get_provisioned_concurrency_config",
        {**F, "Qualifier": "1"},
        "ProvisionedConcurrencyConfigNotFoundException",
        404,
        "No Provisioned",
    ),
    # asynchronous events, recursion, runtime management
    ("put_function_event_invoke_config", {**F}, INVALID, 400, "or destination setting"),
    ("put_function_event_invoke_config", {**F, "MaximumRetryAttempts": 3}, MODEL, 400, "maximumRetryAttempts"),
    ("put_function_event_invoke_config", {**F, "MaximumEventAgeInSeconds": 59}, MODEL, 400, "maximumEventAgeInSeconds"),
    (
        "put_function_event_invoke_config",
        {**F, "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:q"}}},
        INVALID,
        400,
        "onFailure=OnFailure(destination=arn:aws:sqs:us-east-1:000000000000:q)",
    ),
    ("update_function_event_invoke_config", {**F, "MaximumRetryAttempts": 1}, MISSING, 404, "EventInvokeConfig"),
    ("delete_function_event_invoke_config", {**F}, MISSING, 404, "EventInvokeConfig"),
    ("put_function_recursion_config", {**F, "RecursiveLoop": "Maybe"}, MODEL, 400, "recursiveLoop"),
    ("put_runtime_management_config", {**F, "UpdateRuntimeOn": "FunctionUpdate"}, INVALID, 400, "not served"),
    # tags
    ("tag_resource", {"Resource": FUNCTION, "Tags": {"aws:x": "y"}}, INVALID, 400, "tag key"),
    ("tag_resource", {"Resource": FUNCTION[:-1] + "none", "Tags": {"a": "b"}}, MISSING, 404, "not found"),
    ("list_tags", {"Resource": FUNCTION + ":live"}, INVALID, 400, "are not supported"),
    # invoking
    ("invoke", {"FunctionName": "none"}, MISSING, 404, "Function not found"),
    ("invoke", {**F, "Qualifier": "9"}, MISSING, 404, "Function not found: " + FUNCTION + ":9"),
    ("invoke", {**F, "Payload": b"{"}, "InvalidRequestContentException", 400, "Could not parse"),
    ("invoke", {**F, "ClientContext": "%%"}, "InvalidRequestContentException", 400, "Base64"),
    ("invoke", {**F, "ClientContext": "WzFd"}, "InvalidRequestContentException", 400, "JSON object"),
    ("invoke_async", {**F, "InvokeArgs": b"{"}, "InvalidRequestContentException", 400, "Could not parse"),
    ("invoke_async", {"FunctionName": "none", "InvokeArgs": b"{}"}, MISSING, 404, "Function not found"),
    ("invoke", {**F, "InvocationType": "Sometimes"}, MODEL, 400, "nvocation"),
    (
        "invoke",
        {**F, "InvocationType": "Event", "Payload": b'"' + b"x" * 1048577 + b'"'},
        "RequestTooLargeException",
        413,
        "Event invocation",
    ),
]


@pytest.mark.parametrize(
    ("operation", "given", "code", "status", "words"),
    [pytest.param(*each, id=f"{number}-{each[0]}") for number, each in enumerate(ERRORS)],
)
def test_the_error_is_awss(
    client: Any, operation: str, given: dict[str, Any], code: str, status: int, words: str
) -> None:
    before = json.dumps(client.get_function_configuration(FunctionName="f")["RevisionId"])
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**given)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert words in response["Error"]["Message"]
    assert json.dumps(client.get_function_configuration(FunctionName="f")["RevisionId"]) == before


def test_layers_through_the_aws_cli(place: Served, client: Any, tmp_path: Path) -> None:
    archive, out = tmp_path / "layer.zip", tmp_path / "out.json"
    archive.write_bytes(zip_of(**{"python/extra.py": "X = 8"}))

    def aws(*arguments: str) -> Any:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("aws")), "lambda", *arguments],
            env={**os.environ, **place.env},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    made = aws("publish-layer-version", "--layer-name", "cli", "--zip-file", f"fileb://{archive}")
    assert made["Version"] == 1 and made["LayerArn"].endswith(":layer:cli")
    archive.write_bytes(CODE)
    aws(
        "create-function", "--function-name", "cli", "--runtime", PYTHON, "--role", ROLE,
        "--handler", "app.handler", "--zip-file", f"fileb://{archive}", "--layers", made["LayerVersionArn"],
    )  # fmt: skip
    aws("wait", "function-active-v2", "--function-name", "cli")
    aws("invoke", "--function-name", "cli", str(out))
    assert json.loads(out.read_text()) == 8
    aws("delete-layer-version", "--layer-name", "cli", "--version-number", "1")
    assert aws("list-layer-versions", "--layer-name", "cli")["LayerVersions"] == []
    aws("update-function-configuration", "--function-name", "cli", "--layers", LAYER_ARN + ":1")
    aws("wait", "function-updated-v2", "--function-name", "cli")
    aws("invoke", "--function-name", "cli", str(out))
    assert json.loads(out.read_text()) == 7


def test_the_old_way_to_send_an_event_still_works(client: Any) -> None:
    assert client.invoke_async(FunctionName="f", InvokeArgs=b"{}")["Status"] == 202


def test_a_throttled_call_says_why_and_when_to_come_again(client: Any) -> None:
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    try:
        with pytest.raises(ClientError) as caught:
            client.invoke(FunctionName="f")
    finally:
        client.delete_function_concurrency(FunctionName="f")
    response = caught.value.response
    assert response["Error"]["Code"] == "TooManyRequestsException"
    assert response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
