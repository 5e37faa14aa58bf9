"""What AWS Lambda's Python runtime promises to a handler."""

from __future__ import annotations

import base64
import json
import re

from littoral.aws.invoke import Invocation
from tests.functions.deploy import Place, call, zip_of

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


async def test_a_handler_gets_the_event_and_its_result_comes_back(place: Place) -> None:
    await place.python("def handler(event, context):\n    return {'got': event, 'ä': 'ö'}\n")
    answer = await place.invoke({"bed": [7, None, 1.5]})
    assert answer.error is None
    assert answer.result == {"got": {"bed": [7, None, 1.5]}, "ä": "ö"}
    assert answer.version == "$LATEST"


async def test_the_context_is_lambdas(place: Place) -> None:
    await place.python(
        "def handler(event, c):\n"
        "    return [c.function_name, c.function_version, c.invoked_function_arn, c.memory_limit_in_mb,\n"
        "            c.aws_request_id, c.log_group_name, c.log_stream_name, c.get_remaining_time_in_millis(),\n"
        "            c.identity.cognito_identity_id, c.client_context]\n",
        memory_size=256,
        timeout=5,
    )
    name, version, arn, memory, request_id, group, stream, left, identity, client = (await place.invoke()).result
    assert (name, version, memory) == ("f", "$LATEST", "256")
    assert arn == "arn:aws:lambda:us-east-1:000000000000:function:f"
    assert re.fullmatch(UUID, request_id)
    assert group == "/aws/lambda/f"
    assert re.fullmatch(r"\d{4}/\d{2}/\d{2}/\[\$LATEST\][0-9a-f]{32}", stream)
    assert 0 < left <= 5000
    assert identity is None and client is None


async def test_the_client_context_of_a_mobile_sdk_arrives(place: Place) -> None:
    await place.python(
        "def handler(event, c):\n    x = c.client_context\n    return [x.custom, x.env, x.client.app_title]\n"
    )
    sent = {"custom": {"a": 1}, "env": {"make": "x"}, "client": {"app_title": "ward"}}
    answer = await place.invoke(client_context=base64.b64encode(json.dumps(sent).encode()).decode())
    assert answer.result == [{"a": 1}, {"make": "x"}, "ward"]


async def test_warm_instances_keep_their_globals_and_the_first_is_cold(place: Place) -> None:
    await place.python("n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n\n")
    answers = [await place.invoke() for _ in range(3)]
    assert [answer.result for answer in answers] == [1, 2, 3]
    assert ["Init Duration" in answer.report for answer in answers] == [True, False, False]
    assert place.functions.stats()["cold"] == 1 and place.functions.stats()["warm"] == 2


async def test_the_environment_is_the_functions_and_lambdas_and_nothing_of_the_place(place: Place) -> None:
    await place.python(
        "import os\ndef handler(event, context):\n    return dict(os.environ)\n",
        environment={"Variables": {"WARD": "7"}},
    )
    environment = (await place.invoke()).result
    assert environment["WARD"] == "7"
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "us-east-1"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "f"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "128"
    assert environment["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.11"
    assert environment["_HANDLER"] == "app.handler"
    assert environment["TZ"] == ":UTC"
    assert not {"HOME", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST", "USER"} & environment.keys()


async def test_only_what_lambda_brings_and_models_need_can_be_imported_beside_the_functions_own(place: Place) -> None:
    source = (
        "import importlib.util, boto3, own\n"
        "def handler(event, context):\n"
        "    found = {n: bool(importlib.util.find_spec(n)) for n in ('littoral', 'numpy', 'pytest', 'botocore')}\n"
        "    return found, boto3.client('s3', region_name='us-east-1').meta.service_model.service_name, own.x\n"
    )
    await place.create("f", zip_of(app__py=source, own__py="x = 5"), "python3.11", "app.handler", timeout=20)
    found, service, own = (await place.invoke()).result
    assert found == {"littoral": True, "numpy": True, "pytest": False, "botocore": True}
    assert (service, own) == ("s3", 5)


async def test_a_handler_may_live_in_a_folder(place: Place) -> None:
    archive = zip_of(**{"pack/__init__.py".replace(".", "__"): "", "pack/mod__py": "def go(e, c): return 'there'"})
    await place.create("f", archive, "python3.11", "pack/mod.go")
    assert (await place.invoke()).result == "there"


async def test_print_logging_and_the_platform_lines_are_lambdas(place: Place) -> None:
    await place.python(
        "import logging, sys\nlog = logging.getLogger()\nlog.setLevel('INFO')\nprint('importing')\n"
        "def handler(event, context):\n"
        "    print('plain'); log.info('said %d', 7); print('err', file=sys.stderr)\n"
    )
    log = (await place.invoke()).log
    request_id = re.fullmatch(rf"START RequestId: ({UUID}) Version: \$LATEST", log[1])[1]  # type: ignore[index]
    assert log[0] == "importing"
    assert log[2] == "plain"
    assert re.fullmatch(rf"\[INFO\]\t\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{1,3}}Z\t{request_id}\tsaid 7", log[3])
    assert log[4:6] == ["err", f"END RequestId: {request_id}"]
    assert re.fullmatch(
        rf"REPORT RequestId: {request_id}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\t"
        r"Max Memory Used: [1-9]\d* MB\tInit Duration: \d+\.\d\d ms\t",
        log[6],
    )


async def test_the_tail_is_the_last_four_kilobytes(place: Place) -> None:
    await place.python("def handler(event, context):\n    for i in range(2000): print('line', i)\n")
    output = await place.api.invoke(call(), function_name="f", payload=b"{}", log_type="Tail")
    tail = base64.b64decode(output["LogResult"])
    assert len(tail) == 4096 and b"line 1999\nEND" in tail and b"START" not in tail
    assert "LogResult" not in await place.api.invoke(call(), function_name="f", payload=b"{}")


async def test_the_log_group_keeps_it_all(place: Place) -> None:
    await place.python("def handler(event, context):\n    print('one'); print('two')\n")
    await place.invoke()
    await place.invoke()
    events = await place.functions.logs.read("/aws/lambda/f")
    opening, *others = [event.message for event in events]
    assert [each.split(" ")[0] for each in others] == ["START", "one", "two", "END", "REPORT"] * 2
    arn = "arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}"
    assert re.fullmatch(rf"INIT_START Runtime Version: python:3\.11\.v[0-9]+\tRuntime Version ARN: {arn}", opening)
    assert len({event.stream for event in events}) == 1
    assert await place.functions.logs.groups() == ["/aws/lambda/f"]


async def test_decimals_are_numbers_in_results(place: Place) -> None:
    await place.python("from decimal import Decimal\ndef handler(e, c): return {'v': Decimal('1.5')}\n")
    assert (await place.invoke()).result == {"v": 1.5}


async def test_a_replicas_log_group_is_in_its_context(place: Place) -> None:
    """Lambda@Edge: the instance is shared with direct calls, whose group is the function's own."""
    await place.python("def handler(event, c):\n    return [c.log_group_name, bool(c.client_context), event]\n")
    replica, own = "/aws/lambda/us-east-1.f", "/aws/lambda/f"
    for context in ({}, {"custom": {"a": 1}}):
        for region, group in (("us-east-1", replica), ("", own)):
            asked = Invocation("f", b'{"bed": 7}', client_context=context, replica_of=region)
            found = await place.functions.invoke(asked)
            assert json.loads(found.payload) == [group, bool(context), {"bed": 7}]
