"""The X-Ray header: each event has one, the caller's where it sent one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from littoral import functions
from littoral.functions import runtime
from littoral.functions.lineage import trace_of
from tests.functions.deploy import Place, call

SENT = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
SOURCES = {
    "python": "import os\ndef handler(e, c): return os.environ['_X_AMZN_TRACE_ID']",
    "node": "exports.handler = async () => process.env._X_AMZN_TRACE_ID;",
}


@pytest.mark.parametrize("language", SOURCES)
async def test_a_handler_finds_it_in_its_environment(place: Place, language: str) -> None:
    await getattr(place, language)(SOURCES[language])
    seen = [(await place.invoke()).result for _ in range(2)]
    assert len(set(seen)) == 2
    for each in seen:
        assert re.fullmatch("Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", each)
        assert trace_of(each) == each
    asked = call()
    asked.request.headers.set("x-amzn-trace-id", SENT)
    told = json.loads((await place.api.invoke(asked, function_name="f"))["Payload"])
    assert re.fullmatch(re.escape(SENT) + ";Lineage=[0-9a-f]{8}:1", told)  # each call of a chain is counted
    assert trace_of(told) == told


async def test_programs_that_a_handler_starts_find_it_too(place: Place) -> None:
    code = """
        import os, subprocess
        def handler(event, context):
            if event:
                os.environ['_X_AMZN_TRACE_ID'] = event  # a handler of this event may want another
            shown = subprocess.run(['sh', '-c', 'echo "$_X_AMZN_TRACE_ID"'], capture_output=True, text=True)
            return [os.environ['_X_AMZN_TRACE_ID'], shown.stdout.strip()]
        """
    await place.python(textwrap.dedent(code))
    seen = [(await place.invoke(event)).result for event in ("", "its own", "", "")]
    assert seen[1] == ["its own", "its own"]
    assert all(python == program for python, program in seen)
    assert len({python for python, _ in seen}) == 4


def test_no_value_of_an_earlier_event_is_kept() -> None:
    program = """
        import os, sys
        sys.path.insert(0, sys.argv[1])
        from runtime.bootstrap import Variable

        def resident():
            return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        variable = Variable("_X_AMZN_TRACE_ID")
        for number in range(110_000):
            variable.set("Root=1-5759e988-%024x;Parent=53995c3f42cd8ad8;Sampled=1" % number)
            if number == 10_000:
                before = resident()
        assert os.environ["_X_AMZN_TRACE_ID"].startswith("Root=1-5759e988-00000000000000000001adaf;")
        variable.set("x" * 5000)  # more than it has room for
        assert os.environ["_X_AMZN_TRACE_ID"] == os.popen('printf %s "$_X_AMZN_TRACE_ID"').read() == "x" * 5000
        variable.set("y")
        assert os.environ["_X_AMZN_TRACE_ID"] == os.popen('printf %s "$_X_AMZN_TRACE_ID"').read() == "y"
        print(resident() - before)
        """
    argv = [sys.executable, "-I", "-c", textwrap.dedent(program), str(Path(runtime.__file__).parents[1])]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 4 * 1024 * 1024  # 12 MiB are kept by setenv


NODE_SEES = """
const { execSync } = require('child_process');
const { Worker } = require('worker_threads');
const said = (worker) => new Promise((resolve) => worker.on('message', resolve));
const shown = `const { parentPort } = require('worker_threads'); parentPort.postMessage(process.env._X_AMZN_TRACE_ID)`;
exports.handler = async (event) => {
  const { env } = await import('node:process');
  if (event) process.env._X_AMZN_TRACE_ID = event;
  process.env.NUMBER = 5;
  delete process.env.GONE;
  return [
    process.env._X_AMZN_TRACE_ID,
    env._X_AMZN_TRACE_ID,
    { ...process.env }._X_AMZN_TRACE_ID,
    execSync('echo $_X_AMZN_TRACE_ID').toString().trim(),
    await said(new Worker(shown, { eval: true })),
    process.env.NUMBER + execSync('echo $NUMBER$GONE').toString().trim() + ('GONE' in process.env),
  ];
};
"""


async def test_node_s_environment_is_a_copy_that_nobody_notices(place: Place) -> None:
    await place.node(NODE_SEES, timeout=30, environment={"Variables": {"GONE": "x"}})
    seen = [(await place.invoke(event)).result for event in ("", "its own", "")]
    for everywhere in seen:
        assert len(set(everywhere[:5])) == 1, everywhere
        assert everywhere[5] == "55false"
    assert seen[1][0] == "its own"
    assert len({each[0] for each in seen}) == 3


def test_node_keeps_no_value_of_an_earlier_event() -> None:
    """setenv keeps it: so it is not called."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not here (apt: nodejs)")
    program = """
        const { copyEnvironment } = require(process.argv[1]);
        const real = process.env;
        const environment = copyEnvironment('_X_AMZN_TRACE_ID');
        for (let number = 0; number < 1000; number++) environment._X_AMZN_TRACE_ID = `Root=${number}`;
        console.log(JSON.stringify([process.env._X_AMZN_TRACE_ID, real._X_AMZN_TRACE_ID ?? null]));
        """
    beside = Path(functions.__file__).parent / "node" / "environment.js"
    done = subprocess.run([node, "-e", program, str(beside)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["Root=999", None]


@pytest.mark.parametrize("wrong", [None, "", "Root=2", SENT + "\n", SENT + ";a=" + "x" * 200, "Self=1;" + SENT])
def test_what_is_no_trace_is_not_passed_on(wrong: str | None) -> None:
    assert trace_of(wrong) == ""
    assert trace_of(SENT) == SENT
