"""Extensions: programs of a layer that run beside the function, told of each invocation and of the end."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from tests.functions.deploy import NODE, PYTHON, Place, call, place_in, zip_of
from tests.functions.meeting import Meeting
from tests.functions.test_provided import REPLY, archive
from tests.functions.test_provided import python as own_runtime

# An extension: it says over TCP what it sees, and for each INVOKE waits to be let go. {body} runs before it registers.
SPY = """#!/usr/bin/env -S python3 -IS
import http.client, json, os, socket, sys
api = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])
NAME = os.path.basename(sys.argv[0])

def ask(method, path, body=None, headers={{}}):
    api.request(method, '/2020-01-01/extension/' + path, body, headers)
    answer = api.getresponse()
    return answer.status, answer.headers, json.loads(answer.read())

def say(word, wait=False):
    line = socket.create_connection(('127.0.0.1', int(os.environ['PORT'])))
    line.sendall((word + '\\n').encode())
    if wait:
        line.recv(1)
    return line

{body}
status, headers, about = ask('POST', 'register', json.dumps({{'events': ['INVOKE', 'SHUTDOWN']}}),
                             {{'Lambda-Extension-Name': NAME, 'Lambda-Extension-Accept-Feature': 'accountId'}})
assert status == 200, about
me = {{'Lambda-Extension-Identifier': headers['Lambda-Extension-Identifier']}}
{joined}
while True:
    status, headers, event = ask('GET', 'event/next', headers=me)
    if event['eventType'] == 'SHUTDOWN':
        say('shutdown ' + event['shutdownReason'])
        sys.exit()
    say('invoke ' + event['requestId'] + ' ' + event['tracing']['value'], wait=True)
    {invoked}
"""
SAD = "ask('POST', 'init/error', b'', {**me, 'Lambda-Extension-Function-Error-Type': 'Spy.Sad'})"
ECHO = "import os\ndef handler(e, c): return [e, c.aws_request_id, os.environ['_X_AMZN_TRACE_ID']]"


def spy(body: str = "", joined: str = "", invoked: str = "pass") -> str:
    return SPY.format(body=body, joined=joined, invoked=invoked)


async def layer(place: Place, **files: str) -> list[str]:
    content = archive(**{f"extensions/{name}": text for name, text in files.items()})
    made = await place.api.publish_layer_version(call(), layer_name="beside", content={"ZipFile": content})
    return [made["LayerVersionArn"]]


async def deploy(place: Place, meeting: Meeting, runtime: str = "python", timeout: int = 20, **files: str) -> None:
    codes: dict[str, tuple[bytes, str, str]] = {
        "python": (zip_of(app__py=ECHO), PYTHON, "app.handler"),
        "node": (
            zip_of(index__js="exports.handler = async (e, c) => [e, c.awsRequestId, process.env._X_AMZN_TRACE_ID];"),
            NODE,
            "index.handler",
        ),
        "provided": (
            own_runtime("made = [json.loads(event), id, headers['lambda-runtime-trace-id']]\n" + REPLY),
            "provided.al2023",
            "h",
        ),
    }
    code, name, handler = codes[runtime]
    await place.create(
        "f",
        code,
        name,
        handler,
        timeout=timeout,
        layers=await layer(place, **files),
        environment={"Variables": {"PORT": str(meeting.port)}},
    )


async def quiet(place: Place) -> None:
    """Until no instance is busy, with extensions neither."""
    while place.functions.running():
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("runtime", ["python", "node", "provided"])
async def test_it_is_told_of_each_invocation(place: Place, runtime: str) -> None:
    async with Meeting() as meeting:
        await deploy(place, meeting, runtime, spy=spy())
        for _ in range(2):
            answer = await place.invoke(7)  # the caller does not wait for the extension
            event, request_id, trace = answer.result
            assert event == 7
            met = await meeting.next()
            assert met.said == f"invoke {request_id} {trace}"
            met.let_go()
        assert place.functions.stats()["cold"] in (1, 2)  # while it is busy with the last event, another is started


async def test_an_instance_takes_no_event_until_its_extensions_are_done(place: Place) -> None:
    async with Meeting() as meeting:
        await deploy(place, meeting, spy=spy())
        await place.invoke()
        first = await meeting.next()
        assert place.functions.running() == {"f": 1}
        assert "INIT" not in (await place.invoke()).report
        (await meeting.next()).let_go()
        assert place.functions.stats()["cold"] == 2
        first.let_go()


async def test_init_waits_for_it(place: Place) -> None:
    async with Meeting() as meeting:
        await deploy(place, meeting, spy=spy(joined="say(json.dumps(about), wait=True)"))
        answer = asyncio.ensure_future(place.invoke())
        met = await meeting.next()
        about = {"functionName": "f", "functionVersion": "$LATEST", "handler": "app.handler"}
        assert json.loads(met.said) == {**about, "accountId": "000000000000"}
        assert not answer.done()
        met.let_go()
        (await meeting.next()).let_go()
        assert (await answer).error is None


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"spy": "#!/bin/sh\nexit 3\n"}, "Extension.Crash"),
        ({"spy": "no program"}, "Extension.Crash"),
        (
            {
                "spy": spy(
                    joined="ask('POST', 'init/error', b'', {**me, 'Lambda-Extension-Function-Error-Type': 'Spy.Sad'})"
                )
            },
            "Spy.Sad",
        ),
        ({f"spy{number}": spy() for number in range(11)}, "Extension.TooManyExtensions"),
    ],
)
async def test_one_that_fails_in_init(place: Place, files: dict[str, str], kind: str) -> None:
    async with Meeting() as meeting:
        await deploy(place, meeting, **files)
        answer = await place.invoke()
    assert (answer.error, answer.result["errorType"]) == ("Unhandled", kind)


async def test_one_that_is_not_executable(place: Place) -> None:
    content = zip_of(**{"extensions/spy": "x"})
    made = await place.api.publish_layer_version(call(), layer_name="l", content={"ZipFile": content})
    await place.python(ECHO, layers=[made["LayerVersionArn"]])
    assert (await place.invoke()).result["errorType"] == "Extension.LaunchError"


async def test_one_that_crashes_takes_the_instance_with_it(place: Place) -> None:
    async with Meeting() as meeting:
        await deploy(place, meeting, spy=spy(invoked="sys.exit(4)"))
        for _ in range(2):  # a new instance each time
            assert (await place.invoke(1)).error is None
            (await meeting.next()).let_go()
            await quiet(place)
        assert place.functions.stats()["cold"] == 2


async def test_the_end_is_told(place: Place) -> None:
    async with Meeting() as meeting:
        await deploy(place, meeting, spy=spy())
        await place.invoke()
        (await meeting.next()).let_go()
        await quiet(place)
        place.functions._parts.scheduler.reap(time.monotonic() + 10_000)
        assert (await meeting.next()).said == "shutdown spindown"


async def test_a_timeout_is_told(place: Place) -> None:
    async with Meeting() as meeting:
        await deploy(place, meeting, timeout=1, spy=spy())
        source = zip_of(app__py="import time\ndef handler(e, c): time.sleep(60)")
        await place.api.update_function_code(call(), function_name="f", zip_file=source)
        answer = await place.invoke()
        assert "timed out" in answer.result["errorMessage"]
        (await meeting.next()).let_go()
        assert (await meeting.next()).said == "shutdown timeout"


TERMINATED = (
    "import os, signal, socket, sys\n"
    "def leave(*_):\n"
    "    socket.create_connection(('127.0.0.1', int(os.environ['PORT']))).sendall(b'runtime\\n')\n"
    "    sys.exit()\n"
    "signal.signal(signal.SIGTERM, leave)\n"
    "def handler(e, c): return 1"
)


async def test_the_runtime_gets_a_sigterm(tmp_path: Any) -> None:
    async with Meeting() as meeting:
        async with place_in(tmp_path) as place:
            await deploy(place, meeting, spy=spy())
            source = zip_of(app__py=TERMINATED)
            await place.api.update_function_code(call(), function_name="f", zip_file=source)
            await place.invoke()
            (await meeting.next()).let_go()
            await quiet(place)
        # the place has stopped, and so has all that it kept
        assert {(await meeting.next()).said for _ in range(2)} == {"runtime", "shutdown spindown"}


async def test_one_that_does_not_go_is_killed(tmp_path: Any) -> None:
    async with Meeting() as meeting:
        async with place_in(tmp_path) as place:
            stubborn = spy().replace("sys.exit()", "say('stays', wait=True)")
            await deploy(place, meeting, spy=stubborn)
            await place.invoke()
            (await meeting.next()).let_go()
            await quiet(place)
        assert (await meeting.next()).said == "shutdown spindown"
        await (await meeting.next()).ended()


async def test_telemetry_says_that_it_is_not_there(place: Place) -> None:
    async with Meeting() as meeting:
        asked = (
            "api.request('PUT', '/2022-07-01/telemetry', '{}'); answer = api.getresponse();"
            "say(str(answer.status) + answer.read().decode())"
        )
        await deploy(place, meeting, spy=spy(body=asked))
        assert (await place.invoke()).error is None
        said = (await meeting.next()).said
        assert said.startswith("202") and json.loads(said[3:])["errorType"] == "Telemetry.NotSupported"
        (await meeting.next()).let_go()


async def test_it_has_a_function_s_rights_and_no_more(place: Place) -> None:
    """As confined as the function: its environment, its /tmp, nobody's secrets."""
    async with Meeting() as meeting:
        seen = (
            "seen = [os.environ.get('_HANDLER'), os.environ['AWS_LAMBDA_FUNCTION_NAME'], os.getuid() == 0,"
            " os.getpid() < 9,"
            " os.access('/opt/extensions', os.W_OK), os.path.exists('/proc/1/root/var/task'),"
            " [line.split()[1] for line in open('/proc/self/status')"
            "  if line.startswith(('NoNewPrivs', 'Seccomp:', 'CapEff'))]];"
            "say(json.dumps(seen))"
        )
        await deploy(place, meeting, spy=spy(body=seen))
        assert (await place.invoke()).error is None
        assert json.loads((await meeting.next()).said) == [
            None,
            "f",
            False,
            True,
            False,
            False,
            ["0000000000000000", "1", "2"],
        ]
        (await meeting.next()).let_go()


INSIDE = """import threading
    global seen
    seen, inside = [], Api()
    base = '/2020-01-01/extension/'
    inside.connection.request('POST', base + 'register', '{"events": ["INVOKE"]}', {'Lambda-Extension-Name': 'me'})
    told = inside.connection.getresponse()
    told.read()
    me = {'Lambda-Extension-Identifier': told.headers['Lambda-Extension-Identifier']}
    def follow():
        while True:
            inside.connection.request('GET', base + 'event/next', headers=me)
            seen.append(json.loads(inside.connection.getresponse().read())['requestId'])
    threading.Thread(target=follow, daemon=True).start()"""


async def test_an_extension_inside_a_runtime_of_ones_own(place: Place) -> None:
    code = own_runtime("while id not in seen: time.sleep(0.001)\nmade = [id, list(seen)]\n" + REPLY, INSIDE)
    await place.create("f", code, "provided.al2023", "h", timeout=20)
    for _ in range(2):
        answer = await place.invoke()
        assert answer.error is None, answer
        mine, seen = answer.result
        assert seen[-1] == mine
