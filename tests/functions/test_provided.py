"""Runtimes of one's own: a bootstrap in the zip, asking the Runtime API for events."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import os
import platform
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.functions.deploy import Answer, Place, call, zip_of

SHELL = r"""#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  event=$(curl -sS -D /tmp/headers "$api/invocation/next")
  id=$(sed -n 's/\r$//; s/^lambda-runtime-aws-request-id: //Ip' /tmp/headers)
  echo "handler $_HANDLER got $event"
  curl -sS -o /dev/null "$api/invocation/$id/response" -d "{\"shell\": $event}"
done
"""

# A bootstrap in Python: the body of ``answer(api, event, headers)`` differs from test to test.
PYTHON = """#!/usr/bin/env -S python3 -IS
import http.client, json, os, sys, time, uuid
ME = uuid.uuid4().hex
BASE = '/2018-06-01/runtime/'

class Api:
    def __init__(self):
        self.connection = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])

    def ask(self, method, path, body=None, headers={{}}):
        self.connection.request(method, BASE + path, body, headers)
        response = self.connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()

def answer(api, event, headers):
    id = headers['lambda-runtime-aws-request-id']
{body}

def main():
    api = Api()
{init}
    while True:
        status, headers, event = api.ask('GET', 'invocation/next')
        assert status == 200, status
        answer(api, event, {{name.lower(): value for name, value in headers.items()}})

main()
"""
REPLY = "api.ask('POST', f'invocation/{id}/response', json.dumps(made))"


def archive(**files: str | bytes) -> bytes:
    """A zip whose files are executable."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16
            target.writestr(entry, content)
    return buffer.getvalue()


def python(body: str, init: str = "pass") -> bytes:
    lines = {"body": "\n".join(f"    {line}" for line in body.splitlines()), "init": f"    {init}"}
    return archive(bootstrap=PYTHON.format(**lines))


async def create(place: Place, code: bytes, **more: Any) -> None:
    await place.create("f", code, "provided.al2023", "some.handler", timeout=more.pop("timeout", 20), **more)


async def test_a_shell_script_is_a_runtime(place: Place) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    await create(place, archive(bootstrap=SHELL))
    for bed in (7, 8):
        answer = await place.invoke({"bed": bed})
        assert (answer.error, answer.result) == (None, {"shell": {"bed": bed}})
        assert f'handler some.handler got {{"bed": {bed}}}' in answer.log
        assert answer.log[0].startswith("START") and answer.log[-1].startswith("REPORT")
    assert place.functions.stats()["warm"] == 1


async def test_a_compiled_program_is_a_runtime(place: Place, tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    source = Path(__file__).with_name("bootstrap.c")
    built = tmp_path / "bootstrap"
    await asyncio.to_thread(subprocess.run, [compiler, "-O1", "-o", built, source], check=True, timeout=60)
    await create(place, archive(bootstrap=built.read_bytes()))
    for word in ("one", "two"):
        assert (await place.invoke({"word": word})).result == {"word": word}


async def test_the_official_python_client_runs_unmodified(place: Place) -> None:
    ric = pytest.importorskip("awslambdaric")
    brought: dict[str, str | bytes] = {}  # as a user packs it: into the zip
    site = Path(ric.__file__).parents[1]
    for pattern in ("awslambdaric/**/*.py", "simplejson/*.py", "snapshot_restore_py.py", "runtime_client*.so"):
        for file in site.glob(pattern):
            brought[str(file.relative_to(site))] = file.read_bytes()
    script = (
        "#!/usr/bin/env -S python3 -I\nimport sys\nsys.path[:0] = ['.']\n"
        "sys.argv = ['bootstrap', 'app.handler']\nfrom awslambdaric.__main__ import main\nmain(sys.argv)\n"
    )
    app = (
        "def handler(event, context):\n"
        "    print('saw', event)\n"
        "    if 'fail' in event: raise KeyError(event['fail'])\n"
        "    custom = context.client_context.custom if context.client_context else None\n"
        "    return [event, context.invoked_function_arn, context.aws_request_id, context.memory_limit_in_mb, custom,\n"
        "            0 < context.get_remaining_time_in_millis() <= 20000]\n"
    )
    await create(place, archive(**{"bootstrap": script, "app.py": app}, **brought))
    context = base64.b64encode(b'{"custom": {"ward": 7}}').decode()
    answer = await place.invoke({"bed": 7}, client_context=context)
    assert answer.error is None, (answer.result, answer.log)
    event, arn, request_id, memory, custom, in_time = answer.result
    assert (event, memory, custom, in_time) == ({"bed": 7}, "128", {"ward": 7}, True)
    assert arn == "arn:aws:lambda:us-east-1:000000000000:function:f"
    assert answer.log[0] == f"START RequestId: {request_id} Version: $LATEST"
    assert "saw {'bed': 7}" in answer.log
    failed = await place.invoke({"fail": "x"})
    assert failed.error == "Unhandled"
    assert (failed.result["errorType"], failed.result["errorMessage"]) == ("KeyError", "'x'")
    assert (await place.invoke({"bed": 8})).result[0] == {"bed": 8}
    assert place.functions.stats()["warm"] == 2


@pytest.fixture(scope="module")
def node_client() -> Path:
    """A node_modules folder with AWS's client for Node.js, which npm compiles (five minutes) where cmake is."""
    places = [os.environ.get("LITTORAL_NODE_RIC", "")]
    if shutil.which("npm"):
        done = subprocess.run(["npm", "root", "-g"], capture_output=True, text=True, check=False)
        places.append(done.stdout.strip())
    for each in places:
        if each and (Path(each) / "aws-lambda-ric" / "rapid-client.node").is_file():
            return Path(each)
    pytest.skip(
        "AWS's client for Node.js is not here: npm install -g aws-lambda-ric, or name its node_modules folder by "
        "LITTORAL_NODE_RIC"
    )


NODE_HANDLERS = """
export const handler = async (event, context) => {
  console.log('saw', event);
  if (event.fail) throw new TypeError(event.fail);
  return [event, context.invokedFunctionArn, context.awsRequestId, context.memoryLimitInMB, context.clientContext,
    context.getRemainingTimeInMillis() > 0];
};
export const pieces = awslambda.streamifyResponse(async (event, stream) => {
  stream.write('one,');
  if (event.fail) throw new RangeError(event.fail);
  stream.end('two');
});
"""


async def test_the_official_node_client_runs_unmodified(place: Place, node_client: Path) -> None:
    brought: dict[str, str | bytes] = {}
    for pattern in ("aws-lambda-ric/*.*", "@aws/lambda-invoke-store/**/*"):
        for file in filter(Path.is_file, node_client.glob(pattern)):
            brought[f"node_modules/{file.relative_to(node_client)}"] = file.read_bytes()
    script = "#!/bin/sh\nexec node node_modules/aws-lambda-ric/index.mjs $_HANDLER\n"
    code = archive(**{"bootstrap": script, "index.mjs": NODE_HANDLERS}, **brought)
    await place.create("f", code, "provided.al2023", "index.handler", timeout=20)
    context = base64.b64encode(b'{"custom": {"ward": 7}}').decode()
    answer = await place.invoke({"bed": 7}, client_context=context)
    assert answer.error is None, (answer.result, answer.log)
    event, arn, request_id, memory, sent, in_time = answer.result
    assert (event, memory, sent, in_time) == ({"bed": 7}, "128", {"custom": {"ward": 7}}, True)
    assert arn == "arn:aws:lambda:us-east-1:000000000000:function:f"
    assert answer.log[0] == f"START RequestId: {request_id} Version: $LATEST"
    assert answer.log[1].endswith(f"{request_id}\tINFO\tsaw {{ bed: 7 }}")
    failed = await place.invoke({"fail": "no"})
    assert (failed.error, failed.result["errorType"], failed.result["errorMessage"]) == ("Unhandled", "TypeError", "no")
    await place.create("g", code, "provided.al2023", "index.pieces", timeout=20)
    assert (await streamed(place, {})) == (b"one,two", None)
    assert (await streamed(place, {"fail": "half way"})) == (b"one,", "RangeError")
    assert place.functions.stats()["cold"] == 2


async def streamed(place: Place, event: Any) -> tuple[bytes, str | None]:
    """The pieces of g's response together, and the type of the error that it ended with."""
    answer = await place.api.invoke_with_response_stream(call(), function_name="g", payload=json.dumps(event).encode())
    events = [each async for each in answer["EventStream"]]
    pieces = [each["Payload"] for kind, each in events if kind == "PayloadChunk"]
    return b"".join(pieces), events[-1][1].get("ErrorCode")


async def test_headers_and_environment(place: Place) -> None:
    body = (
        "names = ('LAMBDA_TASK_ROOT', '_HANDLER', 'AWS_REGION', 'AWS_EXECUTION_ENV', 'OWN')\n"
        "made = [headers, {name: os.environ.get(name) for name in names}, os.getcwd(), int(time.time() * 1000)]\n"
        + REPLY
    )
    await create(place, python(body), environment={"Variables": {"OWN": "1"}})
    headers, environment, folder, now = (await place.invoke({})).result
    assert headers["lambda-runtime-invoked-function-arn"].endswith(":function:f")
    assert headers["content-type"] == "application/json"
    assert 0 < int(headers["lambda-runtime-deadline-ms"]) - now <= 20000
    assert headers["lambda-runtime-trace-id"].startswith("Root=1-")
    assert environment["OWN"] == "1" and environment["_HANDLER"] == "some.handler"
    assert environment["AWS_EXECUTION_ENV"] is None
    assert folder == environment["LAMBDA_TASK_ROOT"]


async def test_what_is_no_json_goes_through_as_it_is(place: Place) -> None:
    await create(place, python("api.ask('POST', f'invocation/{id}/response', b'\\xff not json')"))
    output = await place.api.invoke(call(), function_name="f", payload=b"{}")
    assert (output["Payload"], output.get("FunctionError")) == (b"\xff not json", None)


async def test_errors_are_the_callers(place: Place) -> None:
    body = (
        "kind = json.loads(event)['kind']\n"
        "if kind == 'object':\n"
        "    text = json.dumps({'errorType': 'Bad', 'errorMessage': 'no', 'stackTrace': ['a']})\n"
        "    made = api.ask('POST', f'invocation/{id}/error', text, {'Lambda-Runtime-Function-Error-Type': 'Bad'})\n"
        "elif kind == 'bare':\n"
        "    api.ask('POST', f'invocation/{id}/error', b'', {'Lambda-Runtime-Function-Error-Type': 'Extension.X'})\n"
        "elif kind == 'exit':\n"
        "    sys.exit(7)\n"
        "elif kind == 'hang':\n"
        "    time.sleep(100)\n"
        "elif kind == 'large':\n"
        "    status, _, text = api.ask('POST', f'invocation/{id}/response', b'\"' + b'x' * (7 << 20) + b'\"')\n"
        "    print('answered', status, json.loads(text)['errorType'])\n"
        "else:\n"
        "    made = 'fine'\n"
        "    " + REPLY
    )
    await create(place, python(body), timeout=1)
    assert (await place.invoke({"kind": "object"})).result == {
        "errorType": "Bad",
        "errorMessage": "no",
        "stackTrace": ["a"],
    }
    assert (await place.invoke({"kind": "bare"})).result["errorType"] == "Extension.X"
    exited = await place.invoke({"kind": "exit"})
    assert exited.result["errorType"] == "Runtime.ExitError" and "exit status 7" in exited.result["errorMessage"]
    hung = await place.invoke({"kind": "hang"})
    assert hung.result["errorType"] == "Sandbox.Timedout"
    large = await place.invoke({"kind": "large"})
    assert large.result["errorType"] == "Function.ResponseSizeTooLarge"
    assert (await place.invoke({"kind": "fine"})).result == "fine"


async def test_wrong_steps_are_refused_and_change_nothing(place: Place) -> None:
    body = (
        "other = '00000000-0000-4000-8000-000000000000'\n"
        "made = [api.ask('POST', f'invocation/{other}/response', b'1')[0]]\n"
        "made += [api.ask('GET', 'invocation/next')[0]]\n"
        "made += [api.ask('POST', 'init/error', b'{}')[0]]\n"
        "made += [api.ask('DELETE', 'invocation/next')[0], api.ask('GET', 'nothing')[0]]\n"
        "made += [api.ask('GET', f'invocation/{id}/response')[0], *getattr(main, 'again', [])]\n" + REPLY + "\n"
        "main.again = [api.ask('POST', f'invocation/{id}/response', b'2')[0]]"
    )
    await create(place, python(body))
    for again in ([], [403]):
        answer = await place.invoke({})
        assert (answer.error, answer.result) == (None, [400, 403, 403, 405, 404, 405, *again])


async def test_an_init_error_is_told(place: Place) -> None:
    init = "api.ask('POST', 'init/error', json.dumps({'errorType': 'Mine', 'errorMessage': 'no model'})); sys.exit(1)"
    await create(place, python("pass", init))
    for _ in range(2):
        answer = await place.invoke({})
        assert (answer.error, answer.result["errorType"], answer.result["errorMessage"]) == (
            "Unhandled",
            "Mine",
            "no model",
        )


@pytest.mark.parametrize("code", [zip_of(bootstrap="#!/bin/sh\n"), archive(other="x")])
async def test_a_zip_without_an_executable_bootstrap_says_so(place: Place, code: bytes) -> None:
    await create(place, code)
    answer = await place.invoke({})
    assert_invalid(answer, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]")


def assert_invalid(answer: Answer, words: str) -> None:
    """The error that AWS gives for a bootstrap that cannot be executed: object, log lines, REPORT."""
    assert (answer.error, answer.result["errorType"]) == ("Unhandled", "Runtime.InvalidEntrypoint")
    request_id = answer.report.split()[2]
    message = f"RequestId: {request_id} Error: {words}"
    assert answer.result["errorMessage"] == message
    at = answer.log.index(message)
    assert answer.log[at + 1] == "Runtime.InvalidEntrypoint"
    assert answer.report.endswith("\tStatus: error\tError Type: Runtime.InvalidEntrypoint")


@pytest.mark.parametrize(
    ("bootstrap", "words"),
    [
        (b"#!/no/such/interpreter\n", "no such file or directory"),
        (b"no program", "exec format error"),
    ],
)
async def test_a_bootstrap_that_cannot_be_executed(place: Place, bootstrap: bytes, words: str) -> None:
    await create(place, archive(bootstrap=bootstrap))
    assert_invalid(await place.invoke({}), f"fork/exec /var/task/bootstrap: {words}")


async def test_a_bootstrap_for_another_processor(place: Place) -> None:
    """What compiling for Graviton and running on a PC comes to. The program is this machine's, but for that number."""
    program = bytearray(Path(os.path.realpath("/bin/true")).read_bytes())
    foreign, name, asked = (183, "arm64", "arm64") if platform.machine() == "x86_64" else (62, "x86_64", "x86_64")
    program[18:20] = foreign.to_bytes(2, "little")
    await create(place, archive(bootstrap=bytes(program)), architectures=[asked])
    answer = await place.invoke({})
    assert_invalid(answer, "fork/exec /var/task/bootstrap: exec format error")
    warning, reason = [line for line in answer.log if line.startswith("[littoral]")]
    assert warning.startswith(f"[littoral] Architectures is {asked}, this machine is ")
    assert reason.endswith(f"exec format error (built for {name}; this machine is {platform.machine()})")


async def test_a_bootstrap_that_ends_at_once(place: Place) -> None:
    await place.create("g", archive(bootstrap="#!/bin/sh\nexit 0\n"), "provided", "x", timeout=5)
    assert "Runtime exited without providing a reason" in (await place.invoke({}, "g")).result["errorMessage"]


async def test_what_is_native_nowhere_runs_for_any_architecture_and_says_so(place: Place) -> None:
    other = "arm64" if platform.machine() == "x86_64" else "x86_64"
    await place.python("def handler(event, context): return event", architectures=[other])
    cold, warm = await place.invoke(1), await place.invoke(2)
    assert (cold.result, warm.result) == (1, 2)
    assert cold.log[0].startswith(f"[littoral] Architectures is {other}, this machine is ")
    assert warm.log[0].startswith("START")
    await place.python(
        "def handler(event, context): return event", "json", architectures=[other], logging_config={"LogFormat": "JSON"}
    )
    assert json.loads((await place.invoke(1, "json")).log[0])["level"] == "WARN"
    shown = await place.python("def handler(event, context): return event", "own")
    assert shown["Architectures"] != [other]  # unless told: what this machine is
    assert (await place.invoke(1, "own")).log[0].startswith("START")


async def test_nobody_else_may_talk_to_an_instance(place: Place) -> None:
    body = "made = os.environ['AWS_LAMBDA_RUNTIME_API']\n" + REPLY
    await create(place, python(body))
    address = (await place.invoke({})).result

    def intrude() -> tuple[int, str]:
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.request("GET", "/2018-06-01/runtime/invocation/next")
        response = connection.getresponse()
        return response.status, json.loads(response.read())["errorType"]

    assert await asyncio.to_thread(intrude) == (403, "Forbidden")
    assert (await place.invoke({})).result == address


async def test_a_child_of_the_bootstrap_may_answer(place: Place) -> None:
    child = (
        "import http.client,sys;c=http.client.HTTPConnection(sys.argv[1]);"
        "c.request('POST','/2018-06-01/runtime/invocation/'+sys.argv[2]+'/response','5');print(c.getresponse().status)"
    )
    body = (
        "import subprocess\n"
        f"argv = [sys.executable, '-IS', '-c', {child!r}, os.environ['AWS_LAMBDA_RUNTIME_API'], id]\n"
        "subprocess.run(argv, check=True)"
    )
    await create(place, python(body))
    assert [(await place.invoke({})).result for _ in range(2)] == [5, 5]


async def test_it_is_throttled_retired_and_reaped_like_any_other(place: Place) -> None:
    await create(place, python("made = ME\n" + REPLY))
    first = (await place.invoke({})).result
    assert (await place.invoke({})).result == first
    await place.api.update_function_configuration(call(), function_name="f", description="changed")
    assert (await place.invoke({})).result != first
    place.functions._parts.scheduler.reap(1e12)
    assert place.functions.stats()["idle"] == 0
