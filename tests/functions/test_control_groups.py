"""Whose a control group is: a keeper's that lives keeps it, one that is gone leaves it to be swept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from littoral.functions.isolation import cgroup

NAMESPACE, PID, BEGAN = cgroup.name().split("-")[1:]


@pytest.fixture
def gone() -> int:
    """The id of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def swept(folder: Path, *groups: str) -> set[str]:
    """Which of the groups a sweep removes."""
    for each in groups:
        (folder / each / "keeper").mkdir(parents=True)
    cgroup._sweep(str(folder))
    return {each for each in groups if not (folder / each).exists()}


def test_what_a_keeper_that_is_gone_left_is_swept(tmp_path: Path, gone: int) -> None:
    left = f"littoral-{NAMESPACE}-{gone}-{BEGAN}"
    assert swept(tmp_path, left, f"{left}-trial1") == {left, f"{left}-trial1"}


def test_who_has_the_process_id_now_does_not_keep_the_group_of_who_had_it(tmp_path: Path) -> None:
    earlier = f"littoral-{NAMESPACE}-{PID}-{int(BEGAN) - 1}"
    assert swept(tmp_path, earlier, cgroup.name()) == {earlier}


def test_a_keeper_that_this_namespace_cannot_see_keeps_its_group(tmp_path: Path, gone: int) -> None:
    assert swept(tmp_path, f"littoral-{int(NAMESPACE) + 1}-{gone}-{BEGAN}") == set()


def test_what_nobody_here_made_is_left_alone(tmp_path: Path, gone: int) -> None:
    assert swept(tmp_path, "system.slice", "littoral", f"littoral-{gone}", f"other-{NAMESPACE}-{gone}-{BEGAN}") == set()


@pytest.fixture
def own_group() -> Iterator[Path]:
    made = cgroup.make_empty()
    assert made is not None
    yield Path(made)
    cgroup.remove(made)


@pytest.mark.skipif(cgroup.home() is None, reason="no control groups may be made here")
def test_a_sweep_removes_what_a_killed_process_left_and_not_what_is_empty_and_owned(own_group: Path) -> None:
    code = "from littoral.functions.isolation import cgroup; print(cgroup.make_empty(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        left = Path(other.stdout.readline().decode().strip())
        cgroup.sweep()
        assert left.is_dir()
        other.kill()
    cgroup.sweep()
    assert (left.exists(), own_group.is_dir()) == (False, True)
