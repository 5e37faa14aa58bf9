"""The Lambda API through boto3 and the AWS CLI: signed HTTP, real parsing, real errors."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from littoral.functions import Functions, FunctionSettings
from littoral.store.embedded import EmbeddedStore
from tests.functions.deploy import NODE, PYTHON, ROLE, zip_of
from tests.support.served import Served, served

ECHO = zip_of(
    app__py="import boto3\ndef handler(e, c):\n    print('ran')\n    return {'e': e, 'v': c.function_version}\n"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("functions")

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        functions = await Functions.open(store, folder, settings=FunctionSettings(retry_delays=(0.01, 0.01)))
        await functions.start()
        return {"lambda": functions.api, "close": functions.close, "routes": functions.routes()}

    with served(factory) as running:
        yield running


@pytest.fixture
def client(place: Served) -> Any:
    return boto3.client("lambda", config=Config(retries={"max_attempts": 1}), **place.client_kwargs)


@pytest.fixture
def name(client: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    name = request.node.name[:60].replace("[", "-").replace("]", "")
    client.create_function(
        FunctionName=name, Role=ROLE, Runtime=PYTHON, Handler="app.handler", Code={"ZipFile": ECHO}, Timeout=10
    )
    yield name
    client.delete_function(FunctionName=name)


def code_of(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_create_wait_get_and_download(client: Any, name: str) -> None:
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    shown = client.get_function(FunctionName=name)
    assert shown["Configuration"]["CodeSize"] == len(ECHO)
    with urllib.request.urlopen(shown["Code"]["Location"]) as response:
        assert response.read() == ECHO
        assert response.headers["Content-Type"] == "application/zip"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(shown["Code"]["Location"][:-4] + "0000")


def test_invoke_in_all_three_ways(client: Any, name: str) -> None:
    context = base64.b64encode(b'{"custom": {"a": 1}}').decode()
    answer = client.invoke(FunctionName=name, Payload=b'{"bed": 7}', LogType="Tail", ClientContext=context)
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer
    assert json.loads(answer["Payload"].read()) == {"e": {"bed": 7}, "v": "$LATEST"}
    log = base64.b64decode(answer["LogResult"]).decode()
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert f"START RequestId: {request_id} Version: $LATEST\nran\nEND RequestId: {request_id}\nREPORT" in log
    dry = client.invoke(FunctionName=name, InvocationType="DryRun", Payload=b"{}")
    assert (dry["StatusCode"], dry["Payload"].read()) == (204, b"")
    event = client.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
    assert (event["StatusCode"], event["Payload"].read()) == (202, b"")


def test_a_function_error_is_a_200_with_a_header(client: Any, name: str) -> None:
    client.update_function_code(FunctionName=name, ZipFile=zip_of(app__py="def handler(e, c): raise KeyError(e)"))
    answer = client.invoke(FunctionName=name, Payload=b'"x"')
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert json.loads(answer["Payload"].read())["errorType"] == "KeyError"


def test_large_payloads_go_both_ways(client: Any, name: str) -> None:
    payload = json.dumps("x" * 6_000_000).encode()
    assert len(json.loads(client.invoke(FunctionName=name, Payload=payload)["Payload"].read())["e"]) == 6_000_000
    with pytest.raises(ClientError) as error:
        client.invoke(FunctionName=name, Payload=json.dumps("x" * 6_291_456).encode())
    assert code_of(error) == ("RequestTooLargeException", 413)


def test_errors_are_the_modelled_exceptions(client: Any, name: str) -> None:
    with pytest.raises(
        client.exceptions.ResourceNotFoundException, match="Function not found: arn:aws:lambda"
    ) as missing:
        client.invoke(FunctionName="missing", Payload=b"{}")
    assert missing.value.response["Type"] == "User"
    with pytest.raises(client.exceptions.ResourceConflictException):
        client.create_function(
            FunctionName=name, Role=ROLE, Runtime=PYTHON, Handler="app.handler", Code={"ZipFile": ECHO}
        )
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName=name, Payload=b"{")
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="Could not unzip"):
        client.update_function_code(FunctionName=name, ZipFile=b"no zip")
    with pytest.raises(client.exceptions.PreconditionFailedException):
        client.publish_version(FunctionName=name, RevisionId="x")
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(client.exceptions.TooManyRequestsException) as throttled:
        client.invoke(FunctionName=name, Payload=b"{}")
    assert throttled.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


# A range or pattern of the model is refused by the wire, in whose hands the code is; the rest is the capability's.
MODEL = "ValidationException"
REFUSED = [
    ({"MemorySize": 64}, MODEL),
    ({"Timeout": 901}, "ValidationException"),
    ({"Role": "admin"}, MODEL),
    ({"Runtime": "ruby3.3"}, "InvalidParameterValueException"),
    ({"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}}, "InvalidParameterValueException"),
    ({"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:x:1"]}, "InvalidParameterValueException"),
    ({"KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/x"}, "InvalidParameterValueException"),
    ({"DurableConfig": {"ExecutionTimeout": 60}}, "NotImplemented"),
    ({"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}}, "NotImplemented"),
    ({"FunctionName": "a" * 65}, "InvalidParameterValueException"),
]


@pytest.mark.parametrize(("given", "code"), REFUSED)
def test_what_is_not_served_is_refused(place: Served, given: dict[str, Any], code: str) -> None:
    client = boto3.client(
        "lambda", config=Config(parameter_validation=False, retries={"max_attempts": 0}), **place.client_kwargs
    )
    arguments = {
        "FunctionName": "never",
        "Role": ROLE,
        "Runtime": PYTHON,
        "Handler": "app.handler",
        "Code": {"ZipFile": ECHO},
    }
    with pytest.raises(ClientError) as error:
        client.create_function(**{**arguments, **given})
    assert error.value.response["Error"]["Code"] == code
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function(FunctionName="never")


def test_versions_aliases_policies_tags_and_lists(client: Any, name: str) -> None:
    version = client.publish_version(FunctionName=name)["Version"]
    client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    answer = client.invoke(FunctionName=name, Qualifier="live", Payload=b"1")
    assert (answer["ExecutedVersion"], json.loads(answer["Payload"].read())["v"]) == (version, version)
    assert client.get_alias(FunctionName=name, Name="live")["FunctionVersion"] == version
    with pytest.raises(client.exceptions.ResourceConflictException):
        client.delete_function(FunctionName=name, Qualifier=version)
    client.delete_alias(FunctionName=name, Name="live")
    client.delete_function(FunctionName=name, Qualifier=version)
    arn = client.get_function_configuration(FunctionName=name)["FunctionArn"]
    client.tag_resource(Resource=arn, Tags={"ward": "7", "b": "c"})
    client.untag_resource(Resource=arn, TagKeys=["b"])
    assert client.list_tags(Resource=arn)["Tags"] == {"ward": "7"}
    client.add_permission(
        FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    assert json.loads(client.get_policy(FunctionName=name)["Policy"])["Statement"][0]["Sid"] == "s3"
    client.remove_permission(FunctionName=name, StatementId="s3")
    pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1})
    assert name in [each["FunctionName"] for page in pages for each in page["Functions"]]
    assert client.get_account_settings()["AccountUsage"]["FunctionCount"] >= 1


def test_event_invoke_configuration(client: Any, name: str) -> None:
    put = client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    got = client.get_function_event_invoke_config(FunctionName=name)
    assert got["MaximumRetryAttempts"] == 0 and got["LastModified"] == put["LastModified"]
    client.delete_function_event_invoke_config(FunctionName=name)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function_event_invoke_config(FunctionName=name)


def test_the_aws_cli_creates_and_invokes(place: Served, tmp_path: Path) -> None:
    archive, out = tmp_path / "f.zip", tmp_path / "out.json"
    archive.write_bytes(zip_of(index__js="exports.handler = async (e) => ({ twice: e.n * 2 })"))

    def aws(*arguments: str) -> Any:
        done = subprocess.run(
            [str(Path(os.sys.executable).with_name("aws")), "lambda", *arguments],  # type: ignore[attr-defined]
            env={**os.environ, **place.env},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    made = aws(
        "create-function", "--function-name", "cli", "--runtime", NODE, "--role", ROLE,
        "--handler", "index.handler", "--zip-file", f"fileb://{archive}", "--environment", "Variables={WARD=7}",
    )  # fmt: skip
    assert made["Environment"] == {"Variables": {"WARD": "7"}}
    answer = aws("invoke", "--function-name", "cli", "--payload", '{"n": 21}', str(out))
    assert answer["StatusCode"] == 200 and json.loads(out.read_text()) == {"twice": 42}
    aws("delete-function", "--function-name", "cli")


def test_a_streamed_response(client: Any) -> None:
    source = (
        "exports.handler = awslambda.streamifyResponse(async (event, response) => {"
        "  response.write('one,'); console.log('ran');"
        "  if (event.fail) throw new TypeError('half way');"
        "  response.end('two'); });"
    )
    name = "streamed"
    client.create_function(
        FunctionName=name, Role=ROLE, Runtime=NODE, Handler="index.handler", Code={"ZipFile": zip_of(index__js=source)}
    )
    answer = client.invoke_with_response_stream(FunctionName=name, Payload=b"{}", LogType="Tail")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    *chunks, complete = list(answer["EventStream"])
    assert b"".join(each["PayloadChunk"]["Payload"] for each in chunks) == b"one,two"
    assert "ran" in base64.b64decode(complete["InvokeComplete"]["LogResult"]).decode()
    *chunks, complete = list(
        client.invoke_with_response_stream(FunctionName=name, Payload=b'{"fail":1}')["EventStream"]
    )
    assert complete["InvokeComplete"]["ErrorCode"] == "TypeError"
    assert json.loads(complete["InvokeComplete"]["ErrorDetails"])["errorMessage"] == "half way"
    dry = client.invoke_with_response_stream(FunctionName=name, InvocationType="DryRun")
    assert dry["StatusCode"] == 204
    with pytest.raises(ClientError) as caught:
        client.invoke_with_response_stream(FunctionName="none", Payload=b"{}")
    assert code_of(caught) == ("ResourceNotFoundException", 404)
    with pytest.raises(ClientError) as caught:
        client.invoke_with_response_stream(FunctionName=name, Payload=b"{")
    assert code_of(caught) == ("InvalidRequestContentException", 400)
    client.delete_function(FunctionName=name)
