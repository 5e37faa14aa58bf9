"""What a component's program can reach: itself, and of its core and of other components nothing."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from littoral.core.nucleus.limits import Limits, impose
from littoral.core.ports import Enclosure, Fence, Running
from littoral.functions.isolation import cgroup, landlock
from littoral.site.confining import ControlGroups
from littoral.site.fencing import SEEN, fence_of, tried
from littoral.site.settings import Settings

pytestmark = pytest.mark.skipif(
    not landlock.scopes(landlock.abi()), reason="Landlock fences in signals from Linux 6.12"
)


@pytest.fixture
def device(tmp_path: Path) -> tuple[Path, Fence]:
    data = tmp_path / "data"
    for each in ("components/work/mine", "components/work/other", "components/artifacts/mine"):
        (data / each).mkdir(parents=True)
    (data / "components/work/other/secret").write_text("secret")
    (data / "components/artifacts/mine/file").write_text("artifact")
    (data / "credentials").write_text("secret")
    (tmp_path / "core.key").write_text("secret")
    (tmp_path / "beside").write_text("seen")
    (tmp_path / "link").symlink_to(data)
    return data, fence_of(Settings(kind="core", data_dir=data, private_key=tmp_path / "core.key"))


@dataclass
class Done:
    returncode: int
    words: str


def run(device: tuple[Path, Fence], script: str) -> Done:
    data, fence = device
    own, read = [data / "components/work/mine"], [data / "components/artifacts/mine", data / "nothing"]
    return asyncio.run(ran_in(fence(own, read, None), own[0], "/bin/sh", "-c", script))


async def ran_in(cell: Enclosure, folder: Path, *command: str) -> Done:
    with tempfile.TemporaryFile() as words:
        try:
            async with asyncio.timeout(60):
                program = await cell.begin(command, folder, {"PATH": os.environ["PATH"]}, words.fileno())
                status = await program.wait()
        finally:
            await cell.close()
        words.seek(0)
        return Done(status, words.read().decode())


def test_its_own_folder_its_artifacts_and_the_system_are_there(device: tuple[Path, Fence]) -> None:
    script = f"echo 1 > made && cat made ../../artifacts/mine/file ../../../../beside && {sys.executable} -c 'print(2)'"
    assert run(device, script) == Done(0, "1\nartifactseen2\n")


@pytest.mark.parametrize(
    "command",
    [
        "cat ../other/secret",
        "ls ../other",
        "ls ..",
        "cat ../../../credentials",
        "cat ../../../../core.key",
        "cat ../../../../link/credentials",
        "echo x > ../other/made",
        "echo x > ../../artifacts/mine/file",
        "rm ../../artifacts/mine/file",
        "mv ../other/secret .",
        "ln ../other/secret .",
    ],
)
def test_nothing_of_the_core_or_of_others_is(device: tuple[Path, Fence], command: str) -> None:
    done = run(device, f"{command} && echo it is")
    assert "it is" not in done.words and done.returncode != 0
    assert "denied" in done.words or "cross-device" in done.words, done


def test_no_process_beyond_the_fence_is_seen(device: tuple[Path, Fence]) -> None:
    with subprocess.Popen(["sleep", "100"], env={"SVCUID": "token"}) as other:
        done = run(device, f"kill {other.pid}; ls /proc/{other.pid}; kill -9 -1; true")
        assert other.poll() is None
        other.send_signal(signal.SIGKILL)
    assert "No such process" in done.words and "No such file" in done.words, done
    names = "for each in /proc/[0-9]*/comm; do cat $each; done"
    seen = run(device, names).words.split()
    assert len(seen) <= 3 and all(each in ("sh", "cat") or each.startswith("python") for each in seen), seen
    assert run(device, "sleep 100 & kill $! && wait $!; echo $?").words.split()[-1:] == ["143"]


ESCAPES = """
import ctypes, errno, os, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)

def said(name, result):
    print(name, errno.errorcode.get(ctypes.get_errno()) if result < 0 else "DONE")

def tried(name, attempt):
    try:
        attempt()
        print(name, "DONE")
    except OSError as refused:
        print(name, errno.errorcode[refused.errno])

def abstract():
    with socket.socket(socket.AF_UNIX) as beyond:
        beyond.connect("\\0" + sys.argv[2])

shared = int(sys.argv[1])
said("ptrace", libc.ptrace(16, 1, None, None))
said("mount", libc.mount(b"x", b"/mnt", b"tmpfs", 0, None))
said("umount", libc.umount2(b"/proc", 2))
said("unshare", libc.unshare(0x10000000))
said("vm_readv", libc.process_vm_readv(1, None, 0, None, 0, 0))
said("shmat", libc.shmget(shared, 0, 0))
said("chown", libc.chown(b"mine", 12345, 12345))
tried("mem", lambda: os.open("/proc/1/mem", os.O_RDONLY))
tried("environ", lambda: os.open("/proc/1/environ", os.O_RDONLY))
tried("fd", lambda: os.open("/proc/1/fd/0", os.O_RDWR))
tried("root", lambda: os.listdir("/proc/1/root/"))
tried("abstract", abstract)
os.kill(1, signal.SIGKILL)
os.kill(1, signal.SIGTERM)
print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith(("Cap", "NoNewPrivs", "Seccomp:"))))
"""
FORKS = """
import os, time
begun = 0
try:
    while begun < 100:
        if os.fork() == 0:
            time.sleep(1000)
        begun += 1
except OSError as refused:
    print(begun, refused.strerror)
"""


async def test_who_forks_without_end_is_stopped_and_nobody_else(device: tuple[Path, Fence]) -> None:
    data, _ = device
    work = data / "components/work"
    fence = fence_of(Settings(kind="core", data_dir=data, component_processes=20))
    groups = ControlGroups(20)

    def limited(name: str, process: int) -> str:
        return impose(groups.confine(name, process, Limits()), process)

    (work / "mine/forks.py").write_text(FORKS)
    mine, other = (fence([work / name], [], partial(limited, name)) for name in ("mine", "other"))
    with tempfile.TemporaryFile() as words:
        script = f"grep processes /proc/self/limits; exec {sys.executable} forks.py"
        program = await mine.begin(
            ("/bin/sh", "-c", script), work / "mine", {"PATH": os.environ["PATH"]}, words.fileno()
        )
        try:
            assert await program.wait() == 0
            words.seek(0)
            limit, *refused = words.read().decode().splitlines()
            assert limit.split()[2:4] == ["20", "20"]
            if os.geteuid() != 0 or cgroup.home(cgroup.PROCESSES) is not None:  # the kernel holds root to no such limit
                assert refused == ["18 Resource temporarily unavailable"]  # and it itself, and the cell's first
                with pytest.raises(BlockingIOError):
                    for _ in range(2):  # it itself has ended
                        await mine.begin(("/bin/sleep", "1000"), work / "mine", {}, words.fileno())
            assert (await ran_in(other, work / "other", "/bin/sh", "-c", "echo well | cat")).words == "well\n"
        finally:
            await mine.close()
    assert not processes_in(work / "mine")


IPC_PRIVATE_KEY = 0x11770  # of a segment of this test's own


def test_who_means_harm_gets_nowhere(device: tuple[Path, Fence]) -> None:
    data, _ = device
    mine = data / "components/work/mine"
    (mine / "escapes.py").write_text(ESCAPES)
    (mine / "mine").touch()
    libc = ctypes.CDLL(None, use_errno=True)
    key = IPC_PRIVATE_KEY + os.getpid()
    segment = libc.shmget(key, 4096, 0o1666)
    name = f"littoral-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(f"\0{name}")
        door.listen()
        done = run(device, f"ulimit -c 0; exec {sys.executable} escapes.py {key} {name}")
    libc.shmctl(segment, 0, None)
    assert segment >= 0 and done.returncode == 0, done
    *attempts, rights = done.words.splitlines()
    assert rights.split() == ["0000000000000000"] * 5 + ["1", "2"], done
    refused = dict(each.split() for each in attempts)
    assert refused.pop("shmat") == "ENOENT"
    assert refused.pop("chown") in ("EPERM", "EINVAL")
    reached = [name for name, how in refused.items() if how not in ("EPERM", "EACCES")]
    assert len(refused) == 10 and not reached


async def test_a_folder_is_copied_for_a_component_as_far_as_it_may_read(device: tuple[Path, Fence]) -> None:
    data, fence = device
    mine, copies = data / "components/work/mine", data / "components/local/1.copy"
    copies.mkdir(parents=True)
    (mine / "recipes").mkdir()
    (mine / "recipes/one").write_text("mine")
    for source, well in ((mine / "recipes", True), (data / "components/work/other", False), (data, False)):
        command = ["/bin/cp", "-RP", "--", str(source), str(copies / source.name)]
        done = await ran_in(fence([mine, copies], [], None), mine, *command)
        assert (done.returncode == 0) is well, done
        assert ("denied" in done.words) is not well
    assert (copies / "recipes/one").read_text() == "mine" and not list(copies.glob("**/secret"))


async def gone(folder: Path) -> None:
    """No process is left that has that folder as its own."""
    async with asyncio.timeout(30):
        while any(True for _ in processes_in(folder)):
            await asyncio.sleep(0.02)


def processes_in(folder: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append(int(process.name))
        except OSError:  # it has just ended
            continue
    return found


async def test_programs_of_one_component_find_each_other_and_all_end_with_it(device: tuple[Path, Fence]) -> None:
    data, fence = device
    mine = data / "components/work/mine"
    cell = fence([mine], [], None)
    environment = {"PATH": os.environ["PATH"]}
    with tempfile.TemporaryFile() as words:

        async def begin(script: str) -> Running:
            return await cell.begin(("/bin/sh", "-c", script), mine, environment, words.fileno())

        main = await begin("trap 'echo told; exit 7' TERM; echo $$ > pid; while :; do sleep 0.05; done")
        deaf = "setsid sh -c 'trap : TERM; echo x > deaf; while :; do sleep 1; done'"
        away = "setsid sh -c 'echo x > away; exec sleep 1000'"
        startup = await begin(f"{away} & {deaf} & until test -s away && test -s deaf; do sleep 0.01; done; exit 3")
        assert await startup.wait() == 3
        shutdown = await begin("until test -s pid; do sleep 0.01; done; kill $(cat pid)")
        assert (await shutdown.wait(), await main.wait()) == (0, 7)
        for each in (startup, shutdown, main):
            each.signal(signal.SIGKILL)
        assert not await cell.rest() and len(processes_in(mine)) >= 2  # what was left in the background is there
        killed = await begin("kill -9 $$")
        assert await killed.wait() == -signal.SIGKILL
        with pytest.raises(FileNotFoundError):
            await cell.begin(("/no/such/program",), mine, environment, words.fileno())
        await cell.close()
        assert not processes_in(mine)
        again = await begin("exit 5")
        assert await again.wait() == 5 and await cell.rest()
        await cell.close()


CORE = """
import asyncio, sys
from pathlib import Path
from littoral.site.fencing import fence_of
from littoral.site.settings import Settings

async def main():
    data = Path(sys.argv[1])
    mine = data / "components/work/mine"
    cell = fence_of(Settings(kind="core", data_dir=data))([mine], [], None)
    script = "setsid sleep 300 & exec sleep 300"
    program = await cell.begin(("/bin/sh", "-c", script), mine, {"PATH": "/usr/bin:/bin"}, 1)
    print("begun", flush=True)
    await program.wait()

asyncio.run(main())
"""


async def test_a_core_that_is_killed_leaves_no_program(device: tuple[Path, Fence]) -> None:
    data, _ = device
    mine = data / "components/work/mine"
    with subprocess.Popen([sys.executable, "-c", CORE, str(data)], stdout=subprocess.PIPE, text=True) as core:
        assert core.stdout is not None and core.stdout.readline() == "begun\n"
        assert processes_in(mine)
        core.send_signal(signal.SIGKILL)
        core.stdout.close()
    await gone(mine)


async def test_a_cell_that_is_killed_takes_its_programs_along_and_there_is_another(device: tuple[Path, Fence]) -> None:
    data, fence = device
    mine = data / "components/work/mine"
    cell = fence([mine], [], None)
    with tempfile.TemporaryFile() as words:
        program = await cell.begin(("/bin/sleep", "300"), mine, {}, words.fileno())
        (sleeper,) = processes_in(mine)
        (init,) = re.findall(r"^PPid:\t(\d+)$", Path(f"/proc/{sleeper}/status").read_text(), re.MULTILINE)
        os.kill(int(init), signal.SIGKILL)
        assert await program.wait() == -signal.SIGKILL
        assert (await ran_in(cell, mine, "/bin/sh", "-c", "echo again")).words == "again\n"


def parent(process: int) -> int:
    (found,) = re.findall(r"^PPid:\t(\d+)$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return int(found)


async def test_one_launcher_is_there_for_all_cells_and_as_long_as_one_is(device: tuple[Path, Fence]) -> None:
    data, fence = device
    folders = [data / "components/work/mine", data / "components/work/other"]
    cells = [fence([each], [], None) for each in folders]
    with tempfile.TemporaryFile() as words:

        async def begun() -> list[Running]:
            begin = [
                cell.begin(("/bin/sleep", "300"), own, {}, words.fileno())
                for cell, own in zip(cells, folders, strict=True)
            ]
            return await asyncio.gather(*begin)

        async def gone_from(launcher: int) -> None:
            async with asyncio.timeout(30):
                while Path(f"/proc/{launcher}").exists():
                    await asyncio.sleep(0.02)

        await begun()
        (launcher,) = {parent(parent(processes_in(each)[0])) for each in folders}
        await cells[0].close()
        assert not processes_in(folders[0]) and processes_in(folders[1])
        await cells[1].close()
        await gone_from(launcher)
        programs = await begun()
        (launcher,) = {parent(parent(processes_in(each)[0])) for each in folders}
        os.kill(launcher, signal.SIGKILL)  # as for want of memory
        assert [await each.wait() for each in programs] == [-signal.SIGKILL] * 2
        assert not any(processes_in(each) for each in folders)
        await begun()
        for each in cells:
            await each.close()


async def test_a_cell_that_is_refused_leaves_the_others(device: tuple[Path, Fence]) -> None:
    data, fence = device
    mine = data / "components/work/mine"
    cell, refused = fence([mine], [], None), fence([Path("/nowhere")], [], None)

    def unlimited(_process: int) -> str:
        raise OSError(errno.EPERM, "no limit can be had")

    with tempfile.TemporaryFile() as words:
        program = await cell.begin(("/bin/sleep", "300"), mine, {}, words.fileno())
        for wrong, why in ((refused, "/nowhere"), (fence([mine], [], unlimited), "no limit")):
            with pytest.raises(OSError, match=why):
                await wrong.begin(("/bin/sleep", "300"), mine, {}, words.fileno())
        assert len(processes_in(mine)) == 1
        program.signal(signal.SIGTERM)
        assert await program.wait() == -signal.SIGTERM
        await cell.close()


LEAN = """
import sys
sys.path.append(sys.argv[1])
from isolation import fence
print(*sys.modules)
"""


def test_what_each_cell_has_in_memory_is_little() -> None:
    """Each of these is between 0.3 and 1.5 MiB."""
    folder = Path(landlock.__file__).parents[1]
    command = [sys.executable, "-I", "-S", "-c", LEAN, str(folder)]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert "isolation.holder" in loaded
    assert not loaded & {"asyncio", "collections", "contextlib", "enum", "json", "platform", "re", "socket", "typing"}


async def test_the_doctor_fences_one_in() -> None:
    assert await tried() == (True, SEEN)


async def test_where_the_fence_cannot_be_had_nothing_runs(device: tuple[Path, Fence]) -> None:
    _, fence = device
    with pytest.raises(OSError, match=r"cannot be made: .*/nowhere/at/all.*littoral doctor"):
        await ran_in(fence([Path("/nowhere/at/all")], [], None), Path("/"), "/bin/sh", "-c", "echo ran")
