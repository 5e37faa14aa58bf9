"""Invoke at its limits, through boto3: sizes to the byte, contexts, weights, and the error objects of each runtime."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from littoral.functions import Functions
from littoral.store.embedded import EmbeddedStore
from tests.functions.deploy import NODE, PYTHON, ROLE, zip_of
from tests.functions.test_provided import SHELL, archive
from tests.support.served import Served, served

MB6 = 6 * 1024 * 1024
OVER = MB6 + 100  # what a response may have
MB1 = 1024 * 1024
PYTHONS = "def handler(event, context):\n    return 'x' * (event['want'] - 2) if 'want' in event else len(event)\n"
NODES = "exports.handler = async (event) => 'want' in event ? 'x'.repeat(event.want - 2) : event.length"
Make = Callable[..., str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("functions")

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        functions = await Functions.open(store, folder)
        await functions.start()
        return {"lambda": functions.api, "close": functions.close}

    with served(factory) as running:
        yield running


@pytest.fixture(scope="module")
def client(place: Served) -> Any:
    return boto3.client("lambda", config=Config(retries={"total_max_attempts": 1}), **place.client_kwargs)


@pytest.fixture
def make(client: Any, request: pytest.FixtureRequest) -> Iterator[Make]:
    names: list[str] = []

    def create(code: str | bytes, runtime: str = PYTHON, **more: Any) -> str:
        name = f"f{abs(hash(request.node.name))}-{len(names)}"
        if isinstance(code, str):
            code = zip_of(**{"index__py" if runtime == PYTHON else "index__js": code})
        given = {"Runtime": runtime, "Handler": "index.handler", "Timeout": 30, **more}
        client.create_function(FunctionName=name, Role=ROLE, Code={"ZipFile": code}, **given)
        client.get_waiter("function_active_v2").wait(FunctionName=name)
        names.append(name)
        return name

    yield create
    for name in names:
        client.delete_function(FunctionName=name)


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


def test_an_event_has_six_megabytes_and_not_a_byte_more(client: Any, make: Make) -> None:
    name = make("def handler(event, context): return len(event)")
    exact = b'"' + b"x" * (MB6 - 2) + b'"'
    assert json.loads(client.invoke(FunctionName=name, Payload=exact)["Payload"].read()) == MB6 - 2
    assert refused(client.invoke, FunctionName=name, Payload=exact + b" ") == (
        "RequestTooLargeException",
        413,
        "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
    )


def test_an_asynchronous_one_has_one(client: Any, make: Make) -> None:
    name = make("def handler(event, context): return len(event)")
    exact = b'"' + b"x" * (MB1 - 2) + b'"'
    assert client.invoke(FunctionName=name, InvocationType="Event", Payload=exact)["StatusCode"] == 202
    assert refused(client.invoke, FunctionName=name, InvocationType="Event", Payload=exact + b" ") == (
        "RequestTooLargeException",
        413,
        "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
    )


@pytest.mark.parametrize(("runtime", "code"), [(PYTHON, PYTHONS), (NODE, NODES)])
def test_a_response_has_six_megabytes_and_a_hundred_bytes(client: Any, make: Make, runtime: str, code: str) -> None:
    name = make(code, runtime, MemorySize=512)
    for size in (MB6, OVER):
        answer = client.invoke(FunctionName=name, Payload=json.dumps({"want": size}))
        assert ("FunctionError" in answer, len(answer["Payload"].read())) == (False, size)
    answer = client.invoke(FunctionName=name, Payload=json.dumps({"want": OVER + 1}))
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read()) == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }


CONTEXT = {  # as the mobile SDKs send it
    "client": {
        "installation_id": "i-7",
        "app_title": "Ward",
        "app_version_name": "1.2",
        "app_version_code": "12",
        "app_package_name": "org.example.ward",
    },
    "custom": {"bed": "7"},
    "env": {"platform": "android", "locale": "de_CH"},
}
BY_HEADER = SHELL.replace(
    '-d "{\\"shell\\": $event}"', "-d \"$(sed -n 's/\\r$//; s/^lambda-runtime-client-context: //Ip' /tmp/headers)\""
)


@pytest.mark.parametrize("language", ["python", "node", "own"])
def test_a_mobile_client_says_who_it_is(client: Any, make: Make, language: str) -> None:
    made = {
        "python": lambda: make(
            "def handler(event, context):\n"
            "    c = context.client_context\n"
            "    names = ('installation_id', 'app_title', 'app_version_name', 'app_version_code', 'app_package_name')\n"
            "    client = {name: getattr(c.client, name) for name in names}\n"
            "    return {'client': client, 'custom': c.custom, 'env': c.env}\n"
        ),
        "node": lambda: make("exports.handler = async (event, context) => context.clientContext", NODE),
        "own": lambda: make(archive(bootstrap=BY_HEADER), "provided.al2023"),
    }
    name = made[language]()
    context = base64.b64encode(json.dumps(CONTEXT).encode()).decode()
    answer = client.invoke(FunctionName=name, ClientContext=context)
    assert json.loads(answer["Payload"].read()) == CONTEXT
    for wrong in ("%%%", base64.b64encode(b"[1]").decode()):
        code, status, _ = refused(client.invoke, FunctionName=name, ClientContext=wrong)
        assert (code, status) == ("InvalidRequestContentException", 400)


def test_a_client_context_has_3583_bytes_of_base64(client: Any, make: Make) -> None:
    name = make("def handler(event, context): return len(context.client_context.custom['a'])")

    def context(size: int) -> str:
        text = base64.b64encode(json.dumps({"custom": {"a": "x" * (size * 3 // 4 - 21)}}).encode()).decode()
        assert len(text) == size
        return text

    assert (
        json.loads(client.invoke(FunctionName=name, ClientContext=context(3580))["Payload"].read())
        == 3580 * 3 // 4 - 21
    )
    code, status, _ = refused(client.invoke, FunctionName=name, ClientContext=context(3584))
    assert (code, status) == ("InvalidRequestContentException", 400)


def test_an_alias_shares_the_calls_by_its_weights(client: Any, make: Make) -> None:
    name = make("def handler(event, context): return context.function_version", Publish=True)
    client.update_function_configuration(FunctionName=name, Timeout=9)
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    client.publish_version(FunctionName=name)
    weights = {"AdditionalVersionWeights": {"2": 0.2}}
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig=weights)
    drawn: Counter[str] = Counter()
    for _ in range(300):
        answer = client.invoke(FunctionName=name, Qualifier="live")
        version = json.loads(answer["Payload"].read())
        assert version == answer["ExecutedVersion"]
        drawn[version] += 1
    assert 21 < drawn["2"] < 99, drawn  # 60, give or take 5.6 standard deviations
    code, status, _ = refused(
        client.update_alias, FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 1.1}}
    )
    assert (code, status) == ("InvalidParameterValueException", 400) or (code, status) == ("ValidationException", 400)


RAISES = {
    PYTHON: "class Sad(Exception): pass\ndef inner(): raise Sad('so sad')\ndef handler(event, context): inner()\n",
    NODE: "class Sad extends Error {}; Sad.prototype.name = 'Sad';\n"
    "exports.handler = async () => { throw new Sad('so sad') }",
}


@pytest.mark.parametrize("runtime", list(RAISES))
def test_an_error_has_the_members_that_aws_documents(client: Any, make: Make, runtime: str) -> None:
    """ "Lambda function errors in Python / Node.js" of the developer guide; Python's has the request id since 2022."""
    name = make(RAISES[runtime], runtime)
    answer = client.invoke(FunctionName=name, LogType="Tail")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    error = json.loads(answer["Payload"].read())
    assert (error["errorType"], error["errorMessage"]) == ("Sad", "so sad")
    log = base64.b64decode(answer["LogResult"]).decode()
    if runtime == PYTHON:
        assert set(error) == {"errorType", "errorMessage", "stackTrace", "requestId"}
        assert error["requestId"] == answer["ResponseMetadata"]["RequestId"]
        assert error["stackTrace"][-1] == '  File "/var/task/index.py", line 2, in inner\n' + (
            "    def inner(): raise Sad('so sad')\n"
        )
        assert "[ERROR] Sad: so sad\nTraceback (most recent call last):\n" in log
    else:
        assert set(error) == {"errorType", "errorMessage", "trace"}
        assert error["trace"][:2] == ["Sad: so sad", "    at exports.handler (/var/task/index.js:2:39)"]
        assert '\tERROR\tInvoke Error \t{"errorType":"Sad","errorMessage":"so sad",' in log


def test_a_loop_ends_where_a_function_says_so_and_not_where_it_does_not(
    client: Any, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client here is as it is in a function: boto3 passes the header on by itself when it finds it."""
    name = make("import os\ndef handler(event, context): return os.environ['_X_AMZN_TRACE_ID']")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", name)

    def again() -> str:
        trace: str = json.loads(client.invoke(FunctionName=name)["Payload"].read())
        monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
        return trace

    assert "Lineage" not in again()
    for count in range(1, 17):
        assert again().endswith(f":{count}")
    code, status, message = refused(client.invoke, FunctionName=name)
    assert (code, status) == ("RecursiveInvocationException", 400) and "recursive loop" in message
    client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    assert again().endswith(":17")
    client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Terminate")
    assert client.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Terminate"
    assert client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")["RecursiveLoop"] == "Allow"
    assert client.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Allow"
