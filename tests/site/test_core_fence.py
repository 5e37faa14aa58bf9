"""What a component's program can reach: itself, and of its core and of other components nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from littoral.core.ports import Fence
from littoral.functions.isolation import landlock
from littoral.site.fencing import fence_of, tried
from littoral.site.settings import Settings

pytestmark = pytest.mark.skipif(
    not landlock.scopes(landlock.abi()), reason="Landlock fences in signals from Linux 6.12"
)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[tuple[Path, Fence]]:
    data = tmp_path / "data"
    for each in ("components/work/mine", "components/work/other", "components/artifacts/mine"):
        (data / each).mkdir(parents=True)
    (data / "components/work/other/secret").write_text("secret")
    (data / "components/artifacts/mine/file").write_text("artifact")
    (data / "credentials").write_text("secret")
    (tmp_path / "core.key").write_text("secret")
    (tmp_path / "beside").write_text("seen")
    (tmp_path / "link").symlink_to(data)
    yield data, fence_of(Settings(kind="core", data_dir=data, private_key=tmp_path / "core.key"))


def run(device: tuple[Path, Fence], script: str) -> subprocess.CompletedProcess[str]:
    data, fence = device
    own, read = [data / "components/work/mine"], [data / "components/artifacts/mine", data / "nothing"]
    return subprocess.run(
        fence(own, read, ["/bin/sh", "-c", script]), cwd=own[0], capture_output=True, text=True, timeout=60, check=False
    )


def test_its_own_folder_its_artifacts_and_the_system_are_there(device: tuple[Path, Fence]) -> None:
    script = f"echo 1 > made && cat made ../../artifacts/mine/file ../../../../beside && {sys.executable} -c 'print(2)'"
    done = run(device, script)
    assert (done.stdout, done.returncode) == ("1\nartifactseen2\n", 0), done.stderr


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
    done = run(device, f"{command} && echo out")
    assert "out" not in done.stdout and done.returncode != 0
    assert "denied" in done.stderr or "cross-device" in done.stderr, done.stderr


def test_no_process_beyond_the_fence_can_be_signalled_or_looked_into(device: tuple[Path, Fence]) -> None:
    with subprocess.Popen(["sleep", "100"], env={"SVCUID": "token"}) as other:
        done = run(device, f"kill {other.pid}; cat /proc/{other.pid}/environ; ls /proc/{other.pid}/root/")
        assert other.poll() is None
        other.send_signal(signal.SIGKILL)
    assert "token" not in done.stdout and done.returncode != 0
    assert done.stderr.count("denied") + done.stderr.count("not permitted") == 3, done.stderr
    own = run(device, "sleep 100 & kill $! && wait $!; echo $?")
    assert own.stdout.split() == ["143"], own.stderr


def test_a_folder_is_copied_for_a_component_as_far_as_it_may_read(device: tuple[Path, Fence]) -> None:
    data, fence = device
    mine, copies = data / "components/work/mine", data / "components/local/1.copy"
    copies.mkdir(parents=True)
    (mine / "recipes").mkdir()
    (mine / "recipes/one").write_text("mine")
    for source, well in ((mine / "recipes", True), (data / "components/work/other", False), (data, False)):
        command = ["/bin/cp", "-RP", "--", str(source), str(copies / source.name)]
        done = subprocess.run(fence([mine, copies], [], command), capture_output=True, text=True, check=False)
        assert (done.returncode == 0) is well, done.stderr
        assert ("denied" in done.stderr) is not well
    assert (copies / "recipes/one").read_text() == "mine" and not list(copies.glob("**/secret"))


PARENT = """
import json, subprocess, sys
running = subprocess.Popen(json.loads(sys.argv[1]))
print(running.pid, flush=True)
running.wait()
"""


def alive(program: Path) -> bool:
    try:
        return "State:\tZ" not in (program / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_core_that_is_killed_leaves_no_program(device: tuple[Path, Fence]) -> None:
    data, fence = device
    command = fence([data / "components/work/mine"], [], ["/bin/sh", "-c", "echo fenced > ran; exec sleep 300"])
    script = [sys.executable, "-c", PARENT, json.dumps(list(command))]
    with subprocess.Popen(script, cwd=data / "components/work/mine", stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        program = Path("/proc") / parent.stdout.readline().strip()
        deadline = time.monotonic() + 30
        while not (data / "components/work/mine/ran").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        parent.send_signal(signal.SIGKILL)
    while alive(program):
        assert time.monotonic() < deadline, "the program outlived its core"
        time.sleep(0.01)


def test_the_doctor_fences_one_in() -> None:
    assert tried() == (True, "files: no key of the core; processes: no signals; a user namespace of its own")


def test_where_the_fence_cannot_be_had_nothing_runs(device: tuple[Path, Fence]) -> None:
    _, fence = device
    command = list(fence([Path("/nowhere/at/all")], [], ["/bin/sh", "-c", "echo ran"]))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (70, "") and "littoral doctor" in done.stderr
    assert json.loads(command[4])["own"] == ["/nowhere/at/all"]
