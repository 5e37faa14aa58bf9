"""Handlers that raise, hang, exit, print without end or break what they were given: in Python and in Node.js."""

from __future__ import annotations

import re
from typing import Any

import pytest

from littoral.aws.service import ServiceError
from tests.functions.deploy import Place, call, place_in
from tests.functions.meeting import Meeting

PYTHON_ERRORS: list[tuple[str, str, str, str]] = [
    # what, source, errorType, errorMessage (pattern)
    ("raise", "def handler(e, c): raise KeyError('bed')", "KeyError", "'bed'"),
    ("missing", "def other(e, c): pass", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
    (
        "import",
        "import nothing_of_that_name",
        "Runtime.ImportModuleError",
        "Unable to import module 'app': No module .*",
    ),
    ("syntax", "def handler(e, c:\n", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app': .*"),
    ("init", "1 / 0", "ZeroDivisionError", "division by zero"),
    ("set", "def handler(e, c): return {1, 2}", "Runtime.MarshalError", "Unable to marshal response: .*set is not.*"),
    ("nan", "def handler(e, c): return float('nan')", "Runtime.MarshalError", "Unable to marshal response: .*"),
    ("loop", "def handler(e, c):\n    x = []; x.append(x); return x", "Runtime.MarshalError", "Unable to marshal .*"),
    ("deep", "def handler(e, c): return handler(e, c)", "RecursionError", "maximum recursion depth exceeded.*"),
    ("exit", "import sys\ndef handler(e, c): sys.exit(3)", "Runtime.ExitError", ".* exited with error: exit status 3"),
    ("leave", "import sys\ndef handler(e, c): sys.exit()", "Runtime.ExitError", ".* exited without providing a reason"),
    ("_exit", "import os\ndef handler(e, c): os._exit(9)", "Runtime.ExitError", ".* exited with error: exit status 9"),
    (
        "segv",
        "import os\ndef handler(e, c): os.kill(os.getpid(), 11)",
        "Runtime.ExitError",
        ".*signal: segmentation fault",
    ),
    ("abort", "import os\ndef handler(e, c): os.abort()", "Runtime.ExitError", ".*signal: aborted"),
    ("initexit", "import os; os._exit(4)", "Runtime.ExitError", ".* exited with error: exit status 4"),
    (
        "hang",
        "import time\ndef handler(e, c): time.sleep(60)",
        "Sandbox.Timedout",
        ".* Task timed out after 1.00 seconds",
    ),
    ("spin", "def handler(e, c):\n    while True: pass", "Sandbox.Timedout", ".* Task timed out after 1.00 seconds"),
    (
        "big",
        "def handler(e, c): return 'x' * 6291557",
        "Function.ResponseSizeTooLarge",
        ".*maximum allowed payload size.*",
    ),
    ("fds", "import os\ndef handler(e, c): os.closerange(3, 99); return 1", "Runtime.ExitError", ".*"),
    ("memory", "def handler(e, c): return len(bytearray(900 << 20))", "MemoryError", ""),
]

NODE_ERRORS: list[tuple[str, str, str, str]] = [
    ("throw", "exports.handler = () => { throw new RangeError('no') }", "RangeError", "no"),
    ("reject", "exports.handler = async () => { throw new TypeError('no') }", "TypeError", "no"),
    ("callback", "exports.handler = (e, c, cb) => cb(new Error('cb'))", "Error", "cb"),
    ("string", "exports.handler = async () => { throw 'words' }", "string", "words"),
    (
        "missing",
        "exports.other = async () => 1",
        "Runtime.HandlerNotFound",
        "index.handler is undefined or not exported",
    ),
    ("import", "require('nothing-of-that-name')", "Runtime.ImportModuleError", "(?s)Error: Cannot find module .*"),
    ("syntax", "exports.handler = async (", "Runtime.UserCodeSyntaxError", "SyntaxError: .*"),
    ("init", "throw new Error('at once')", "Error", "at once"),
    ("circle", "exports.handler = async () => { const a = {}; a.a = a; return a }", "Error", "Unable to stringify .*"),
    (
        "exit",
        "exports.handler = async () => process.exit(7)",
        "Runtime.ExitError",
        ".* exited with error: exit status 7",
    ),
    ("late", "exports.handler = () => new Promise(() => setTimeout(() => { throw new Error('l') }, 1))", "Error", "l"),
    (
        "unhandled",
        "exports.handler = () => new Promise((r) => { Promise.reject(new Error('u')); setTimeout(r, 900) })",
        "Runtime.UnhandledPromiseRejection",
        "Error: u",
    ),
    ("hang", "exports.handler = () => new Promise((r) => setTimeout(r, 60000))", "Sandbox.Timedout", ".*1.00 seconds"),
    ("spin", "exports.handler = async () => { for (;;); }", "Sandbox.Timedout", ".*1.00 seconds"),
    ("big", "exports.handler = async () => 'x'.repeat(6291557)", "Function.ResponseSizeTooLarge", ".*payload size.*"),
]


def _check(answer: Any, kind: str, message: str) -> None:
    assert answer.error == "Unhandled"
    assert answer.result["errorType"] == kind
    assert re.fullmatch(message, answer.result["errorMessage"]), answer.result["errorMessage"]
    assert sum(line.startswith(("START", "END", "REPORT")) for line in answer.log) == 3


@pytest.mark.parametrize(("source", "kind", "message"), [pytest.param(*e[1:], id=e[0]) for e in PYTHON_ERRORS])
async def test_a_bad_python_handler_gives_lambdas_error(place: Place, source: str, kind: str, message: str) -> None:
    await place.python(source, timeout=1, memory_size=512)
    _check(await place.invoke({}), kind, message)
    assert place.functions.stats()["busy"] == 0


async def test_a_bad_node_handler_gives_lambdas_error(place: Place) -> None:
    for name, source, kind, message in NODE_ERRORS:
        await place.node(source, name, timeout=1)
        _check(await place.invoke({}, name), kind, message)
    assert place.functions.stats()["busy"] == 0


async def test_an_exception_carries_request_id_and_trace_and_is_logged(place: Place) -> None:
    await place.python("def deep(): raise ValueError('broken')\ndef handler(e, c):\n    deep()\n")
    answer = await place.invoke()
    assert answer.result["requestId"] in answer.log[0]
    trace = answer.result["stackTrace"]
    assert len(trace) == 2
    assert re.match(r'  File ".*/app.py", line 3, in handler\n    deep\(\)\n', trace[0])
    assert answer.log[1] == "[ERROR] ValueError: broken"
    assert answer.log[2] == "Traceback (most recent call last):"


async def test_the_instance_survives_an_exception_and_not_a_timeout(place: Place) -> None:
    await place.python(
        "import time\nn = 0\ndef handler(e, c):\n    global n\n    n += 1\n"
        "    if e == 'raise': raise OSError('x')\n    if e == 'hang': time.sleep(9)\n    return n\n",
        timeout=1,
    )
    assert (await place.invoke()).result == 1
    assert (await place.invoke("raise")).error == "Unhandled"
    assert (await place.invoke()).result == 3
    answer = await place.invoke("hang")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z [0-9a-f-]{36} Task timed out after 1.00 seconds", answer.log[1])
    assert answer.report.endswith("Status: timeout")
    assert (await place.invoke()).result == 1


async def test_megabytes_of_prints_neither_block_nor_fill_the_disk(tmp_path: Any) -> None:
    async with place_in(tmp_path, log_bytes_per_group=200_000, log_bytes_per_invocation=100_000) as place:
        await place.python(
            "def handler(e, c):\n    for _ in range(300): print('x' * 20000)\n    return 'done'\n", timeout=30
        )
        answer = await place.invoke()
        assert answer.result == "done"
        assert any("beyond the limit were dropped" in line for line in answer.log)
        for _ in range(4):
            await place.invoke()
        assert await place.functions.logs.read("/aws/lambda/f")
        size = sum(file.stat().st_size for file in (tmp_path / "functions" / "logs").rglob("*") if file.is_file())
        assert size <= 200_000


async def test_a_handler_may_close_its_output(place: Place) -> None:
    await place.python(
        "import os, sys\ndef handler(e, c):\n    sys.stdout.close(); os.close(1); os.close(2)\n    return 'ok'\n"
    )
    assert (await place.invoke()).result == "ok"
    assert (await place.invoke()).error in (None, "Unhandled")  # closing them twice is the handler's own error


async def test_a_handler_that_forks_and_returns_twice_answers_once(place: Place) -> None:
    await place.python(
        "import os\ndef handler(e, c):\n    pid = os.fork()\n    return 'child' if pid == 0 else 'parent'\n"
    )
    assert [(await place.invoke()).result for _ in range(3)] == ["parent"] * 3


async def test_a_daemon_does_not_hold_the_place_and_dies_with_its_instance(place: Place) -> None:
    await place.python(
        "import os, socket, time\ndef handler(e, c):\n    if os.fork() == 0:\n        os.setsid()\n"
        "        if os.fork() == 0:\n            line = socket.create_connection(('127.0.0.1', e))\n"
        "            line.sendall(b'daemon\\n')\n            time.sleep(600)\n        os._exit(0)\n"
    )
    async with Meeting() as meeting:
        assert (await place.invoke(meeting.port)).error is None
        daemon = await meeting.next()
        await place.api.delete_function(call(), function_name="f")
        await daemon.ended()


async def test_memory_beyond_the_size_kills_as_lambda_does(place: Place) -> None:
    await place.python(
        "import time\ndef handler(e, c):\n    x = bytearray(150 << 20)\n    for i in range(0, len(x), 4096): x[i] = 1\n"
        "    time.sleep(20)\n",
        timeout=15,
    )
    answer = await place.invoke()
    assert answer.result["errorType"] == "Runtime.ExitError"
    assert answer.result["errorMessage"].endswith("Runtime exited with error: signal: killed")
    assert "Max Memory Used: 128 MB" in answer.report


async def test_what_is_no_json_is_refused_before_anything_runs(place: Place) -> None:
    await place.python("def handler(e, c): return e")
    for payload in (b"{", b"\xff", b"NaN", b"[" * 100_000):
        with pytest.raises(ServiceError) as caught:
            await place.api.invoke(call(), function_name="f", payload=payload)
        assert caught.value.code == "InvalidRequestContentException"
    with pytest.raises(ServiceError) as caught:
        await place.api.invoke(call(), function_name="f", payload=b'"' + b"x" * (6 * 1024 * 1024) + b'"')
    assert caught.value.code == "RequestTooLargeException"
    assert caught.value.message == "Request must be smaller than 6291456 bytes for the InvokeFunction operation"
    with pytest.raises(ServiceError) as caught:
        await place.api.invoke(call(), function_name="f", payload=b'"' + b"x" * 1048576 + b'"', invocation_type="Event")
    assert caught.value.code == "RequestTooLargeException"
    assert place.functions.stats()["cold"] == 0


async def test_a_large_event_and_result_pass(place: Place) -> None:
    await place.python("def handler(e, c): return e", timeout=20)
    assert len((await place.invoke("x" * 6_291_000)).result) == 6_291_000
