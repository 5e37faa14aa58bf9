"""What a function can not do to others, tried by functions that mean harm: Python, Node.js and programs."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from littoral.aws.service import ServiceError
from littoral.functions.isolation import landlock
from tests.functions.deploy import Place, place_in, zip_of
from tests.functions.meeting import Meeting
from tests.functions.test_provided import archive
from tests.support.confined import FACTS, confined

TOLD = "the-victim's-secret-" + secrets.token_hex(16)
# The victim keeps a secret in its code, its environment, its /tmp and its memory, and stays where it is.
VICTIM = f"""
import os, socket
CODE = {TOLD!r}
def handler(port, context):
    with open('/tmp/kept', 'w') as file: file.write(os.environ['KEPT'])
    with socket.create_connection(('127.0.0.1', port)) as line:
        line.sendall(b'kept\\n'); line.recv(1)
    with open('/tmp/kept') as file: return file.read() == os.environ['KEPT'] == CODE
"""
# Reads every file that can be read; what matches the wanted bytes is a find.
SEARCH = """
import os, stat
SKIPPED = ('/usr', '/lib', '/bin', '/sbin', '/lib32', '/lib64', '/libx32', '/sys', '/nix', '/var/lang')
def handler(event, context):
    half, rest = event
    wanted, found, read = (half + rest).encode(), [], 0
    for folder, folders, names in os.walk('/', followlinks=False):
        folders[:] = [each for each in folders if os.path.join(folder, each) not in SKIPPED]
        for name in names:
            path = os.path.join(folder, name)
            try:
                if stat.S_ISREG(os.stat(path).st_mode):
                    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                    try:
                        text = os.read(descriptor, 1 << 20)
                    finally:
                        os.close(descriptor)
                    read += 1
                    if wanted in text: found.append(path)
            except OSError:
                pass
    return [read, sorted({each for each in found if not each.startswith('/proc/self') })]
"""


OURS = "/var/runtime/littoral/"  # everybody's: ``littoral.models.load`` comes from there


@pytest_asyncio.fixture
async def neighbours(tmp_path: Path) -> AsyncIterator[tuple[Place, Any]]:
    """A place with secrets of its own, and a victim at work in it."""
    (tmp_path / "credentials").write_text(TOLD)
    async with place_in(tmp_path) as place, Meeting() as meeting:
        await place.python(VICTIM, "victim", timeout=60, environment={"Variables": {"KEPT": TOLD}})
        at_work = asyncio.create_task(place.invoke(meeting.port, "victim"))
        met = await meeting.next()
        yield place, met
        met.let_go()
        answer = await at_work
        assert answer.result is True, "the victim was hurt"


async def test_a_function_is_in_a_cell(place: Place, tmp_path: Path) -> None:
    """Beside it: ``test_a_function_at_the_edge_is_in_a_cell``, ``test_a_function_of_a_core_is_in_a_cell``."""
    source = FACTS + "def handler(event, context): return facts(event)\n"
    for size, memory in ((512, 128), (10240, 3008)):
        await place.python(source, f"f{size}", memory_size=memory, ephemeral_storage={"Size": size})
        found = await place.invoke(str(tmp_path), f"f{size}")
        assert found.result == confined(tmp_path, memory=memory, tmp=size)


async def test_nothing_of_others_can_be_read(neighbours: tuple[Place, Any]) -> None:
    place, _ = neighbours
    await place.python(SEARCH, "search", timeout=60)
    read, found = (await place.invoke([TOLD[:30], TOLD[30:]], "search")).result
    assert read > 50
    assert found == []
    own = (await place.invoke(["def handler(event, ", "context)"], "search")).result[1]
    assert [each for each in own if not each.startswith(OURS)] == ["/var/task/app.py"]  # it finds what is there


NODE_SEARCH = """
const fs = require('fs');
exports.handler = async ([half, rest]) => {
  const found = [], wanted = half + rest;
  const walk = (folder) => {
    let entries = [];
    try { entries = fs.readdirSync(folder, { withFileTypes: true }); } catch { return; }
    for (const entry of entries) {
      const path = folder === '/' ? `/${entry.name}` : `${folder}/${entry.name}`;
      if (['/usr', '/lib', '/bin', '/sbin', '/lib32', '/lib64', '/sys', '/var/lang', '/proc'].includes(path)) continue;
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile()) {
        const stat = fs.statSync(path); // a device is bound over a plain file: its entry does not say
        if (!stat.isFile() || stat.size > 100000) continue;
        try { if (fs.readFileSync(path).includes(wanted)) found.push(path); } catch {}
      }
    }
  };
  walk('/');
  for (const pid of fs.readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name) && +name !== process.pid)) {
    for (const name of ['environ', 'cmdline', 'maps']) {
      try { if (fs.readFileSync(`/proc/${pid}/${name}`).includes(wanted)) found.push(`${pid} ${name}`); } catch {}
    }
  }
  return found;
};
"""


async def test_nothing_of_others_can_be_read_from_node(neighbours: tuple[Place, Any]) -> None:
    place, _ = neighbours
    await place.node(NODE_SEARCH, "search", timeout=60, memory_size=1024)
    assert (await place.invoke([TOLD[:30], TOLD[30:]], "search")).result == []
    own = (await place.invoke(["exports.", "handler"], "search")).result
    assert [each for each in own if not each.startswith(OURS)] == ["/var/task/index.js"]


ATTACKS = """
import ctypes, os, signal, socket
libc = ctypes.CDLL(None, use_errno=True)
def error(attempt):
    try:
        attempt()
    except OSError as problem:
        return type(problem).__name__
    return None
def checked(result):
    if result < 0: raise OSError(ctypes.get_errno(), 'no')
def touch(path):
    with open(path, 'w') as file: file.write('1')
def handler(event, context):
    if event == 'pids':
        return sorted(int(each) for each in os.listdir('/proc') if each.isdigit())
    if event == 'kill':
        return {str(pid): error(lambda: os.kill(pid, signal.SIGKILL)) for pid in (1, OUTSIDE, ABOVE)}
    if event == 'kill all':  # whatever it reaches is in here
        return error(lambda: os.kill(-1, signal.SIGTERM))
    if event == 'syscalls':
        return {
            'ptrace': error(lambda: checked(libc.ptrace(16, 1, 0, 0))),
            'unshare': error(lambda: checked(libc.unshare(0x10000000))),
            'mount': error(lambda: checked(libc.mount(b'x', b'/tmp', b'tmpfs', 0, None))),
            'umount': error(lambda: checked(libc.umount2(b'/var/task', 2))),
            'chroot': error(lambda: os.chroot('/tmp')),
            'setgroups': error(lambda: os.setgroups([0])),
            'sethostname': error(lambda: socket.sethostname('mine')),
            'bpf': error(lambda: checked(libc.syscall(321, 0, 0, 0))),
            'keyctl': error(lambda: checked(libc.syscall(250, 0, 0))),
            'raw socket': error(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()),
            'clock': error(lambda: __import__('time').clock_settime(0, 1)),
        }
    if event == 'writes':
        places = ('/x', '/var/task/x', '/opt/x', '/usr/x', '/etc/passwd', '/var/runtime/x', '/dev/x', '/dev/shm/x',
                  '/proc/sys/kernel/hostname', '/proc/sysrq-trigger', '/proc/self/oom_score_adj')
        return {path: error(lambda: touch(path)) for path in places}
    if isinstance(event, str) and event.startswith('abstract '):
        with socket.socket(socket.AF_UNIX) as line:
            return error(lambda: line.connect('\\0' + event[9:]))
""".replace("OUTSIDE", str(os.getpid())).replace("ABOVE", str(os.getppid()))


async def test_no_one_outside_can_be_signalled(neighbours: tuple[Place, Any]) -> None:
    place, _ = neighbours
    await place.python(ATTACKS)
    assert (await place.invoke("pids")).result == [1, 2]
    killed = (await place.invoke("kill")).result
    assert killed.pop("1") in (None, "PermissionError")  # the kernel lets it pass and does nothing
    assert set(killed.values()) == {"ProcessLookupError"}
    await place.invoke("kill all")
    assert (await place.invoke("pids")).result == [1, 2]


async def test_the_kernels_sharp_tools_are_refused(place: Place) -> None:
    await place.python(ATTACKS)
    refused = (await place.invoke("syscalls")).result
    assert {name for name, error in refused.items() if error != "PermissionError"} == set()


async def test_only_tmp_can_be_written(place: Place) -> None:
    await place.python(ATTACKS)
    for path, error in (await place.invoke("writes")).result.items():
        assert error in ("OSError", "PermissionError", "FileNotFoundError"), path


async def test_abstract_sockets_of_the_machine_are_out_of_reach(place: Place) -> None:
    if not landlock.scopes(landlock.abi()):
        pytest.skip("Landlock fences abstract sockets from Linux 6.12 on")
    await place.python(ATTACKS)
    with socket.socket(socket.AF_UNIX) as door:
        name = f"littoral-test-{secrets.token_hex(8)}"
        door.bind(f"\0{name}")
        door.listen()
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(f"\0{name}")  # it is there
        assert (await place.invoke(f"abstract {name}")).result == "PermissionError"


FILLS = """
import errno, os, resource
def handler(event, context):
    if event == 'files':
        made = 0
        try:
            while made < 1_000_000:
                os.close(os.open(f'/tmp/{made}', os.O_CREAT | os.O_WRONLY))
                made += 1
        except OSError as error:
            return [errno.errorcode[error.errno], made]
    block, written = bytes(1 << 20), 0
    try:
        with open('/tmp/large', 'wb', buffering=0) as file:
            while True: written += file.write(block)
    except OSError as error:
        os.unlink('/tmp/large')
        return [errno.errorcode[error.errno], written >> 20]
"""


async def test_tmp_is_bounded_by_bytes_and_files(place: Place) -> None:
    await place.python(FILLS, timeout=60, ephemeral_storage={"Size": 520})
    assert (await place.invoke("bytes")).result == ["ENOSPC", 520]
    error, made = (await place.invoke("files")).result
    assert error == "ENOSPC"
    assert made < 200_000


FORKS = """
import os, signal, socket, time
def handler(event, context):
    if event == 'ok': return 'ok'
    with socket.create_connection(('127.0.0.1', event)) as line:
        children = 0
        try:
            while True:
                if os.fork() == 0:
                    while True: time.sleep(60)
                children += 1
        except OSError as error:
            line.sendall(f'{children} {type(error).__name__}\\n'.encode())
            line.recv(1)
        os._exit(3)
"""


async def test_a_fork_bomb_stays_in_its_cell(tmp_path: Path) -> None:
    async with place_in(tmp_path) as place, Meeting() as meeting:
        await place.python(FORKS, timeout=80, memory_size=1024)
        await place.python("def handler(event, context): return event", "other")
        bomb = asyncio.create_task(place.invoke(meeting.port))
        met = await meeting.next()
        children, error = met.said.split()
        assert error in ("BlockingIOError", "OSError")
        assert 0 < int(children) <= 1024
        assert (await place.invoke("well", "other")).result == "well"
        met.let_go()
        assert (await bomb).result["errorType"] == "Runtime.ExitError"
        await met.ended()  # not one of a thousand is left: each held this line
        assert (await place.invoke("ok")).result == "ok"


HOARDS = {
    "its own": "x = []\n    while True: x.append(b'x' * 1_000_000)",
    "children": "import time\n    for _ in range(40):\n        if os.fork() == 0:\n"
    "            x = [b'x' * 1_000_000 for _ in range(100)]\n            time.sleep(60)\n    time.sleep(60)",
    "shared memory": "import mmap\n    held = []\n    while True:\n        m = mmap.mmap(-1, 1 << 24)\n"
    "        for at in range(0, 1 << 24, 4096): m[at] = 1\n        held.append(m)",
}


@pytest.mark.parametrize("whose", list(HOARDS))
async def test_memory_that_runs_out_is_an_exit_and_the_next_call_works(place: Place, whose: str) -> None:
    source = f"import os\ndef handler(event, context):\n    if event == 'ok': return 'ok'\n    {HOARDS[whose]}\n"
    await place.python(source, timeout=50)
    answer = await place.invoke("hoard")
    assert answer.error == "Unhandled"
    assert answer.result["errorType"] in ("Runtime.ExitError", "MemoryError")
    if answer.result["errorType"] == "Runtime.ExitError":
        assert "signal: killed" in answer.result["errorMessage"]
    assert (await place.invoke("ok")).result == "ok"


BOOTSTRAP = """#!/bin/sh
set -u
touch /var/task/x 2>/dev/null && seen="code is writable" || seen="fenced"
[ -e "%s" ] && seen="the place is open"
kill -9 %d 2>/dev/null && seen="a process outside was killed"
while :; do
  headers=$(mktemp)
  curl -sS -o /dev/null -D "$headers" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next" || exit 1
  id=$(tr -d '\\r' < "$headers" | sed -n 's/^lambda-runtime-aws-request-id: //Ip')
  curl -sS -o /dev/null -d "\\"$seen $(id -u) $(ls /proc | grep -c '^[0-9]')\\"" \\
    "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response"
done
"""


async def test_a_program_is_fenced_as_well(place: Place, tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "1000"])  # something that could be killed
    try:
        source = BOOTSTRAP % (tmp_path, bystander.pid)
        await place.create("program", archive(bootstrap=source), "provided.al2023", "none")
        words = (await place.invoke({}, "program")).result.split()
        assert words[:2] == ["fenced", "993"]
        assert int(words[2]) < 10
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


async def test_when_the_keeper_dies_its_cells_die_and_another_takes_over(place: Place) -> None:
    source = (
        "import os, socket\ndef handler(port, context):\n"
        "    if port == 0: return 'ok'\n"
        "    line = socket.create_connection(('127.0.0.1', port))\n"
        "    if os.fork() == 0:\n        os.setsid()\n        import time\n        time.sleep(1000)\n"
        "    line.sendall(b'here\\n'); line.recv(1)\n"
    )
    await place.python(source)
    async with Meeting() as meeting:
        call = asyncio.create_task(place.invoke(meeting.port))
        met = await meeting.next()
        keepers = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat") if _is_keeper_of_ours(path)]
        assert keepers
        for pid in keepers:
            os.kill(pid, 9)
        await met.ended()
        assert (await call).result["errorType"] == "Runtime.ExitError"
        assert (await place.invoke(0)).result == "ok"


def _is_keeper_of_ours(stat: Path) -> bool:
    try:
        parent = stat.read_text().rpartition(")")[2].split()[1]
        return parent == str(os.getpid()) and b"zygote.py" in (stat.parent / "cmdline").read_bytes()
    except OSError:
        return False


# ------------------------------------------------------------------------------------ without the network

ALONE = {
    "python3.11": (
        "app__py",
        "import socket\ndef handler(port, context):\n"
        "    with socket.create_server(('127.0.0.1', 0)) as own:\n"
        "        socket.create_connection(own.getsockname()).close()\n"
        "    try:\n        socket.create_connection(('127.0.0.1', port), 5).close()\n"
        "    except OSError as error:\n        return type(error).__name__\n    return 'reached'\n",
    ),
    "nodejs20.x": (
        "app__js",
        "const net = require('net');\nexports.handler = (port) => new Promise((resolve) => {\n"
        "  const line = net.connect(port, '127.0.0.1', () => { line.destroy(); resolve('reached'); });\n"
        "  line.on('error', (error) => resolve(error.code));\n});\n",
    ),
}
REFUSED = ("ConnectionRefusedError", "ECONNREFUSED")


@pytest.mark.parametrize("runtime", list(ALONE))
async def test_the_network_can_be_turned_off(place: Place, runtime: str) -> None:
    name, source = ALONE[runtime]
    async with Meeting() as meeting:
        for network, wanted in (("off", REFUSED), ("on", ("reached",))):
            archive_ = zip_of(**{name: source})
            given = {"environment": {"Variables": {"LITTORAL_NETWORK": network}}, "timeout": 20}
            await place.create(network, archive_, runtime, "app.handler", **given)
            assert (await place.invoke(meeting.port, network)).result in wanted


async def test_a_program_without_the_network_has_its_runtime_api(place: Place) -> None:
    source = (
        "import json, os, socket, urllib.request\n"
        "api = 'http://' + os.environ['AWS_LAMBDA_RUNTIME_API'] + '/2018-06-01/runtime/invocation/'\n"
        "while True:\n"
        "    event = urllib.request.urlopen(api + 'next')\n"
        "    try:\n"
        "        socket.create_connection(('127.0.0.1', json.load(event)), 5).close()\n"
        "        said = 'reached'\n"
        "    except OSError as error:\n        said = type(error).__name__\n"
        "    id = event.headers['Lambda-Runtime-Aws-Request-Id']\n"
        "    urllib.request.urlopen(api + id + '/response', json.dumps(said).encode()).close()\n"
    )
    code = archive(bootstrap=f"#!/usr/bin/env -S python3 -IS\n{source}")
    async with Meeting() as meeting:
        given = {"environment": {"Variables": {"LITTORAL_NETWORK": "off"}}, "timeout": 20}
        await place.create("program", code, "provided.al2023", "none", **given)
        for _ in range(3):
            assert (await place.invoke(meeting.port, "program")).result == "ConnectionRefusedError"


async def test_the_network_is_on_or_off(place: Place) -> None:
    with pytest.raises(ServiceError, match="LITTORAL_NETWORK to something else than on or off"):
        await place.python("", environment={"Variables": {"LITTORAL_NETWORK": "no"}})


async def test_the_network_is_not_off_where_nothing_isolates(tmp_path: Path) -> None:
    async with place_in(tmp_path, isolated=False) as place:
        await place.python("def handler(e, c): pass", environment={"Variables": {"LITTORAL_NETWORK": "off"}})
        with pytest.raises(ServiceError, match="LITTORAL_NETWORK=off needs isolation"):
            await place.invoke({})


# ------------------------------------------------------------------------------------ the machine that runs it


def doctor(*before: str, words: tuple[str, ...] = ()) -> tuple[int, dict[str, Any]]:
    command = [*before, sys.executable, "-m", "littoral", "doctor", "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_doctor_finds_every_layer() -> None:
    status, told = doctor()
    assert [each["layer"] for each in told["layers"] if each["needed"] and not each["active"]] == []
    assert (status, told["healthy"], told["refused"]) == (0, True, None)
    assert told["training"]["apart"], told["training"]["detail"]
    assert told["models"]["apart"] or "No module named" in told["models"]["detail"], told["models"]["detail"]


def test_an_ordinary_user_has_every_layer_as_well() -> None:
    try:
        status, told = doctor("unshare", "--user", "--map-user=12345", "--map-group=12345")
    except FileNotFoundError:
        pytest.skip("no unshare(1) here")
    assert (status, told["refused"]) == (0, None)
    assert all(each["active"] for each in told["layers"] if each["needed"])
    assert told["training"]["apart"], told["training"]["detail"]


REFUSING = (
    "import os, sys; from littoral.functions.isolation import kernel, seccomp; kernel.no_new_privileges(); "
    "kernel.set_seccomp(seccomp.program()); os.execv(sys.argv[1], sys.argv[1:])"
)


def test_where_the_kernel_refuses_namespaces_no_function_runs() -> None:
    status, told = doctor(sys.executable, "-c", REFUSING)
    assert (status, told["healthy"], told["layers"]) == (1, False, [])
    assert "functions cannot be isolated here" in told["refused"]
    assert "--insecure-no-sandbox" in told["refused"]
    assert not told["training"]["apart"] and "cannot be isolated here" in told["training"]["detail"]


def test_the_doctor_sees_what_is_missing_without_the_sandbox() -> None:
    status, told = doctor(sys.executable, "-c", REFUSING, words=("--insecure-no-sandbox",))
    missing = {each["layer"] for each in told["layers"] if each["needed"] and not each["active"]}
    assert {"namespace user", "namespace mnt", "namespace pid", "place's files", "processes"} <= missing
    assert (status, told["healthy"], told["refused"]) == (1, False, None)


async def test_without_the_sandbox_functions_run_and_the_place_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with place_in(tmp_path, isolated=False) as place:
        await place.python("import os\ndef handler(event, context): return os.path.exists(event)")
        assert (await place.invoke(str(tmp_path))).result is True
        await place.node("exports.handler = async (event) => event + 1", "n")
        assert (await place.invoke(1, "n")).result == 2
    assert any("--insecure-no-sandbox" in record.message for record in caplog.records)
