"""Handlers that never stop printing or allocating, in Python and in Node.js, and what Node.js handlers do to their
process: close the log, leave daemons, return what JSON cannot say. The next call works each time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.functions.deploy import Place, call, place_in
from tests.functions.meeting import Meeting

PRINTS = {
    "python": "def handler(e, c):\n    if e == 'ok': return 'ok'\n    while True: print('x' * 1000)\n",
    "node": "exports.handler = async (e) => { if (e === 'ok') return 'ok'; for (;;) console.log('x'.repeat(1000)); };",
}
GROWS = {
    "python": "def handler(e, c):\n    if e == 'ok': return 'ok'\n    x = []\n"
    "    while True: x.append(b'x' * 100_000)\n",
    "node": "exports.handler = async (e) => { if (e === 'ok') return 'ok';"
    " const x = []; for (;;) x.push(Buffer.alloc(1 << 20, 1)); };",
}


async def make(place: Place, language: str, source: str, **more: Any) -> None:
    await (place.python if language == "python" else place.node)(source, **more)


@pytest.mark.parametrize("language", ["python", "node"])
async def test_printing_without_end_ends_by_the_clock_and_is_bounded(tmp_path: Path, language: str) -> None:
    async with place_in(tmp_path, log_bytes_per_group=200_000, log_bytes_per_invocation=50_000) as place:
        await make(place, language, PRINTS[language], timeout=1)
        answer = await place.invoke("print")
        assert answer.result["errorType"] == "Sandbox.Timedout"
        assert any("beyond the limit were dropped" in line for line in answer.log)
        assert (await place.invoke("ok")).result == "ok"
        files = (tmp_path / "functions" / "logs").rglob("*")
        assert sum(each.stat().st_size for each in files if each.is_file()) <= 200_000


@pytest.mark.parametrize("language", ["python", "node"])
async def test_allocating_without_end_is_an_error_of_the_function(place: Place, language: str) -> None:
    await make(place, language, GROWS[language], timeout=30)
    answer = await place.invoke("grow")
    assert answer.error == "Unhandled"
    assert answer.result["errorType"] in ("Runtime.ExitError", "MemoryError", "RangeError")
    assert (await place.invoke("ok")).result == "ok"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("10n", ("Error", "Unable to stringify response body")),
        ("{ toJSON() { throw new Error('x') } }", ("Error", "Unable to stringify response body")),
        ("undefined", None),
        ("() => 1", None),
        ("Symbol('x')", None),
        ("NaN", None),
    ],
)
async def test_what_json_cannot_say_from_node(place: Place, value: str, wanted: tuple[str, str] | None) -> None:
    """As Node.js' JSON has it: what is no value becomes null, what cannot be written is an error."""
    await place.node(f"exports.handler = async () => ({value});")
    answer = await place.invoke()
    if wanted is None:
        assert (answer.result, answer.error) == (None, None)
    else:
        assert (answer.result["errorType"], answer.result["errorMessage"]) == wanted


async def test_a_node_handler_may_close_its_output(place: Place) -> None:
    await place.node(
        "const fs = require('fs'); let n = 0;"
        "exports.handler = async () => { if (n++ === 0) { fs.closeSync(1); fs.closeSync(2); }"
        " console.log('x'); return n; };"
    )
    assert [(await place.invoke()).result for _ in range(2)] == [1, 2]


async def test_a_node_daemon_dies_with_its_instance(place: Place) -> None:
    await place.node(
        "const { spawn } = require('child_process');"
        "const daemon = `require('net').connect(+process.argv[1], '127.0.0.1').write('daemon\\\\n');"
        " setTimeout(() => {}, 600000)`;"
        "exports.handler = async (port) => {"
        " spawn(process.execPath, ['-e', daemon, port], { detached: true, stdio: 'inherit' }).unref(); };"
    )
    async with Meeting() as meeting:
        assert (await place.invoke(meeting.port)).error is None
        daemon = await meeting.next()
        await place.api.delete_function(call(), function_name="f")
        await daemon.ended()


@pytest.mark.parametrize("source", ["process.exit(5);", "while (true) {}", "process.kill(process.pid, 'SIGKILL');"])
async def test_a_node_module_that_never_loads(tmp_path: Path, source: str) -> None:
    async with place_in(tmp_path, init_seconds=0.5) as place:
        await place.node(source, timeout=1)
        answer = await place.invoke()
        assert answer.error == "Unhandled"
        assert answer.result["errorType"] in ("Runtime.ExitError", "Sandbox.Timedout")
        await place.api.delete_function(call(), function_name="f")
        await place.node("exports.handler = async () => 'ok'", timeout=9)
        assert place.functions.stats()["busy"] == 0


async def test_crash_loops_hurt_nobody_else(place: Place) -> None:
    """One that dies with every event, two that die while they load, and one that is well, all at once."""
    await place.python("import os, signal\ndef handler(e, c): os.kill(os.getpid(), signal.SIGKILL)", "killed")
    await place.python("import os\nos._exit(5)", "unloaded")
    await place.node("process.exit(6)", "node")
    await place.python("def handler(e, c): return e", "well")
    names = ["killed", "unloaded", "node", "well"] * 15
    answers = await asyncio.gather(*(place.invoke(number, name) for number, name in enumerate(names)))
    ended = {"killed": "signal: killed", "unloaded": "exit status 5", "node": "exit status 6"}
    for number, (name, answer) in enumerate(zip(names, answers, strict=True)):
        if name == "well":
            assert (answer.error, answer.result) == (None, number)
        else:
            assert answer.result["errorType"] == "Runtime.ExitError"
            assert answer.result["errorMessage"].endswith(f"Error: Runtime exited with error: {ended[name]}")
    stats = place.functions.stats()
    assert (stats["busy"], stats["errors"]) == (0, 45)
