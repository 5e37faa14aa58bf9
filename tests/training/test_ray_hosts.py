"""Who waits for whom among the hosts of Ray's cluster, with a stand-in for Ray's command line: the real one is in
``test_ray.py``, where it is installed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from littoral.site.training import TOOLKIT
from littoral.training.hosts import addresses, meeting

from .conftest import until

Started = list[subprocess.Popen[str]]
# Notes its words; fails as often as the file ``fails`` has bytes.
RAY = """
import os, sys
with open("ray.log", "a") as file:
    print(os.environ["HOST"], *[each for each in sys.argv[1:] if "memory" not in each], file=file)
if sys.argv[1] == "start" and os.path.exists("fails") and os.path.getsize("fails"):
    os.truncate("fails", os.path.getsize("fails") - 1)
    sys.exit("not in time")
"""
PLAIN = "import os, sys; print('at', os.environ['RAY_ADDRESS'], *sys.argv[1:], flush=True)"


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[[str], Started]]:
    """Starts the launcher on two hosts, with a script."""
    own, running = addresses(2), Started()

    def start(script: str) -> Started:
        (tmp_path / "ray" / "scripts").mkdir(parents=True)
        (tmp_path / "ray" / "scripts" / "scripts.py").write_text(RAY)
        (tmp_path / "train.py").write_text(script)
        for host in own:
            config = tmp_path / host / "input" / "config"
            config.mkdir(parents=True)
            (tmp_path / host / "output").mkdir()
            (config / "job.json").write_text(json.dumps({"addresses": own, "port": port}))
            (config / "resourceconfig.json").write_text(json.dumps({"current_host": host}))
        running.extend(_launched(tmp_path, host) for host in own)
        return running

    with meeting() as port:
        yield start
    for each in running:
        each.kill()


def _launched(folder: Path, host: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(TOOLKIT / "ray_hosts.py"), str(folder / host), sys.executable, "train.py", "--lr", "1"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "HOST": host},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(hosts: Started) -> list[tuple[int, str]]:
    said = [each.communicate(timeout=100)[0] for each in hosts]
    return [(each.returncode, text) for each, text in zip(hosts, said, strict=True)]


def test_the_script_runs_once_when_all_have_joined(begin: Callable[[str], Started], tmp_path: Path) -> None:
    first, second = ended(begin(PLAIN))
    assert first == (0, "Ray has 2 hosts\nat 127.0.10.101:6379 --lr 1\n") and second == (0, "")
    common = "--num-cpus=1 --disable-usage-stats"
    assert (tmp_path / "ray.log").read_text().splitlines() == [
        f"algo-1 start --head --port=6379 --include-dashboard=false --node-ip-address=127.0.10.101 {common}",
        f"algo-2 start --address=127.0.10.101:6379 --node-ip-address=127.0.10.102 {common}",
    ]


def test_a_script_that_fails_is_what_the_job_says(begin: Callable[[str], Started]) -> None:
    assert [code for code, _ in ended(begin("import sys; sys.exit(3)"))] == [3, 0]


def test_who_stops_a_job_means_the_script(begin: Callable[[str], Started], tmp_path: Path) -> None:
    waits = "import pathlib, signal\npathlib.Path('waits').touch()\nsignal.pause()"
    hosts = begin(waits)
    until((tmp_path / "waits").exists)
    for each in reversed(hosts):  # the helper first: it has to stay
        each.terminate()
    assert [code for code, _ in ended(hosts)] == [-signal.SIGTERM, 0]


def test_ray_is_tried_again_and_then_given_up(begin: Callable[[str], Started], tmp_path: Path) -> None:
    (tmp_path / "fails").write_text("xx")
    first, second = ended(begin(PLAIN))
    assert first[0] == second[0] == 0 and first[1].count("not in time") == 2
    assert (tmp_path / "ray.log").read_text().count("algo-1 stop --force") == 2


def test_a_host_on_which_ray_never_starts_fails(begin: Callable[[str], Started], tmp_path: Path) -> None:
    (tmp_path / "fails").write_text("x" * 4)
    first, second = begin(PLAIN)
    said, _ = first.communicate(timeout=100)
    second.kill()  # as the place does
    second.communicate()
    assert first.returncode == 1 and "AlgorithmError: Ray did not start in 4 tries" in said
    assert "4 tries" in (tmp_path / "algo-1" / "output" / "failure").read_text()
