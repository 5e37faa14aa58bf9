"""A machine that is one as far as the network goes: a network namespace at the end of a cable."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.site.conftest import up

from .conftest import Worker, lab_of, until
from .test_hosts import TALKS, of_parts
from .test_machines import WAITS_SPREAD, hosts, listed, spread

NEAR, FAR = "10.213.7.1", "10.213.7.2"


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def cable() -> Iterator[str]:
    """The name of a namespace; also of the cable's end here, with an ``a``."""
    name = f"lm{os.getpid() % 100000}"
    with ExitStack() as cleanup:
        try:
            ip("netns", "add", name)
            cleanup.callback(ip, "netns", "del", name)
            ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
            ip("addr", "add", f"{NEAR}/30", "dev", f"{name}a")
            ip("link", "set", f"{name}a", "up")
            ip("-n", name, "addr", "add", f"{FAR}/30", "dev", f"{name}b")
            ip("-n", name, "link", "set", f"{name}b", "up")
        except (OSError, subprocess.CalledProcessError) as problem:
            pytest.skip(f"no network namespaces here: {problem}")
        yield name


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make network namespaces")
def test_a_machine_dials_out_and_is_missed_when_its_cable_is_silent(cable: str, tmp_path: Path) -> None:
    """Nobody tells either side that a cable is out: it is their silence."""
    running = up(tmp_path / "place", "--train-workers", "1", "--host", NEAR)
    lab = lab_of(running, tmp_path / "place")
    endpoint = f"mqtts://{NEAR}:{running.port('mqtt-tls')}"
    within = ("ip", "netns", "exec", cable)
    machine = Worker(lab, tmp_path, "apart", "--train-workers", "1", endpoint=endpoint, within=within)
    try:
        machine.ready()
        assert [(each["machine"], each["address"]) for each in listed(lab)] == [("apart", FAR)]
        lab.create("talks", TALKS, ResourceConfig=hosts(2), InputDataConfig=of_parts(lab), EnableNetworkIsolation=True)
        assert lab.ended("talks")["TrainingJobStatus"] == "Completed", lab.printed("talks")
        assert "heard algo-2" in lab.printed("talks")
        heard = subprocess.run([*within, "ss", "-Hltn"], check=True, capture_output=True, text=True).stdout
        assert heard == ""  # it listens nowhere
        until(lambda: [each["jobs"] for each in listed(lab)] == [[]])
        lab.create("silent", WAITS_SPREAD, **spread())
        lab.says("silent", "here is algo-2")
        ip("link", "set", f"{cable}a", "down")
        assert "the machine apart, which ran algo-2, was lost" in lab.ended("silent")["FailureReason"]
        until(lambda: not list(machine.folder.rglob("ml")))  # nothing of the job is left there either
        ip("link", "set", f"{cable}a", "up")
        until(lambda: [each["jobs"] for each in listed(lab)] == [[]])
    finally:
        machine.end(signal.SIGKILL)
        assert running.process.stop() == 0, running.process.log_end()
