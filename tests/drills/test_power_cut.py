"""The drill of power cuts in its short form, as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tour.test_tour import processes_of

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def drill(folder: Path, path: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "littoral", "drill", "power-cut", "--report", str(folder / "report"), *options],
        capture_output=True,
        text=True,
        env={"PATH": path, "TMPDIR": str(folder), "NO_COLOR": "1", "COLUMNS": "200"},
        timeout=380,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_cut_loses_and_tears_nothing_acknowledged(tmp_path: Path) -> None:
    done = drill(tmp_path, PATH, "--rounds", "1", "--seed", "5")
    if done.returncode == 3:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    report = tmp_path / "report"
    found = json.loads((report / "report.json").read_text())
    assert found["problems"] == []
    assert found["records"]["accepted"] > 0
    assert "objects are as their clients were told" in (report / "report.md").read_text()
    assert (report / "power-cut.png").stat().st_size > 10_000
    assert not processes_of(tmp_path)


def test_where_it_is_not_allowed_it_says_so_in_a_line(tmp_path: Path) -> None:
    done = drill(tmp_path, "/nowhere")  # nobody makes a file system there
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("littoral drill: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


ELSEWHERE = "import subprocess, sys; sys.stdin.read(1); print(subprocess.run(['unshare', '-m', 'cat']).returncode)"
CUT_AND_RESTORED = """
import subprocess, sys
from contextlib import ExitStack
from pathlib import Path
from littoral.drills.frame import NotHere
from littoral.drills.powercut.disk import Disk
other = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, text=True)
with ExitStack() as cleanup:
    try:
        disk = Disk(Path(sys.argv[1]), 32 << 20, cleanup)
    except NotHere as problem:
        sys.exit(f"not here: {problem}")
    other.stdin.write("x")
    other.stdin.flush()
    while not Path(f"/proc/{other.pid}/task/{other.pid}/children").read_text():
        pass
    (child,) = Path(f"/proc/{other.pid}/task/{other.pid}/children").read_text().split()
    while Path(f"/proc/{child}/ns/mnt").readlink() == Path(f"/proc/{other.pid}/ns/mnt").readlink():
        pass
    disk.cut()
    disk.restore()
    other.stdin.close()
    other.wait()
print("restored")
"""


@pytest.mark.root
def test_a_mount_namespace_of_somebody_else_does_not_hold_the_dead_disk(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CUT_AND_RESTORED, str(tmp_path), sys.executable, "-c", ELSEWHERE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "not here" in done.stderr:
        pytest.skip(done.stderr)
    assert done.stdout.endswith("restored\n"), done.stderr
