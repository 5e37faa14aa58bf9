"""Several hosts as one cluster of Ray's. Needs a Python with ray and torch, which CI has not (half a gigabyte): the one
of LITTORAL_RAY_PYTHON, else LITTORAL_TRAIN_PYTHON, else this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.site.conftest import up

from .conftest import Lab, lab_of, workers_of
from .test_cli import littoral

PYTHON = os.environ.get("LITTORAL_RAY_PYTHON") or os.environ.get("LITTORAL_TRAIN_PYTHON") or sys.executable
RAY = {"sagemaker_ray_enabled": "true"}
TRAINS = """
import argparse, json, os, socket
import ray
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

parser = argparse.ArgumentParser()
parser.add_argument("--workers", type=int)
given = parser.parse_args()


@ray.remote(num_cpus=1)
class Worker:
    def host(self):
        return socket.gethostname()

    def train(self, rank, world, meeting):
        if world > 1:
            os.environ["GLOO_SOCKET_IFNAME"] = "lo"
            dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
        torch.manual_seed(0)
        x = torch.randn(64, 4, dtype=torch.float64)
        y = x @ torch.tensor([[1.0], [2.0], [-1.0], [0.5]], dtype=torch.float64)
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()
        net = DistributedDataParallel(model) if world > 1 else model
        optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
        for epoch in range(5):
            for begin in range(0, 64, 16):
                mine = slice(begin + rank * 16 // world, begin + (rank + 1) * 16 // world)
                optimiser.zero_grad()
                nn.functional.mse_loss(net(x[mine]), y[mine]).backward()
                optimiser.step()
        return [float(one) for each in model.parameters() for one in each.detach().flatten()]


ray.init()  # RAY_ADDRESS says where
workers = [Worker.options(scheduling_strategy="SPREAD").remote() for _ in range(given.workers)]
told = {"hosts": sorted(ray.get([each.host.remote() for each in workers]))}
meeting = f"tcp://{os.environ['RAY_ADDRESS'].split(':')[0]}:29400"
trained = [each.train.remote(rank, given.workers, meeting) for rank, each in enumerate(workers)]
told["weights"] = ray.get(trained)[0]
with open(os.environ["SM_MODEL_DIR"] + "/told.json", "w") as file:
    json.dump(told, file)
"""


@pytest.fixture(scope="module")
def ray_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if subprocess.run([PYTHON, "-c", "import ray, torch"], capture_output=True, check=False).returncode:
        pytest.skip(f"{PYTHON} has no ray and torch: name one that has by LITTORAL_RAY_PYTHON")
    folder = tmp_path_factory.mktemp("ray") / "place"
    running = up(folder, "--train-workers", "2", "--train-python", PYTHON, "--train-memory", "4096")
    yield lab_of(running, folder)
    assert running.process.stop() == 0, running.process.log_end()


def trained(lab: Lab, name: str, workers: int, script: str = TRAINS, **further: str) -> dict[str, Any]:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": workers, "VolumeSizeInGB": 1}
    own = {"workers": str(workers), **RAY, **further}
    lab.create(name, script, HyperParameters=own, ResourceConfig=resources, EnableNetworkIsolation=True)
    return lab.ended(name)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hosts_train_what_one_does(ray_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.training.conftest.PATIENCE", 400.0)
    for name, workers in (("one", 1), ("two", 2)):
        job = trained(ray_lab, name, workers)
        assert job["TrainingJobStatus"] == "Completed", (job, ray_lab.printed(name))
    one, two = ray_lab.told("one"), ray_lab.told("two")
    assert (one["hosts"], two["hosts"]) == (["algo-1"], ["algo-1", "algo-2"])
    assert two["weights"] == pytest.approx(one["weights"], abs=1e-12)
    failed = trained(ray_lab, "fails", 2, "import sys; print('no more'); sys.exit(3)")
    assert failed["TrainingJobStatus"] == "Failed", failed
    assert "ExitCode 3\n" in failed["FailureReason"] and failed["FailureReason"].endswith("Ray has 2 hosts\nno more")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_machines_are_one_cluster(ray_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.training.conftest.PATIENCE", 400.0)
    machines = workers_of(ray_lab, tmp_path)
    next(machines)("elsewhere", "--train-workers", "1", "--train-python", PYTHON, "--train-memory", "4096")
    near = trained(ray_lab, "near", 1)
    far = trained(ray_lab, "far", 2, TRAINS.replace('"lo"', '"eth0"'), sagemaker_spread_enabled="true")
    assert far["TrainingJobStatus"] == "Completed", (far, ray_lab.printed("far"))
    assert near["TrainingJobStatus"] == "Completed", near
    assert ray_lab.told("far")["hosts"] == ["algo-1", "algo-2"]
    assert ray_lab.told("far")["weights"] == pytest.approx(ray_lab.told("near")["weights"], abs=1e-12)
    assert next(machines, None) is None


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ({}, "EnableNetworkIsolation"),
        ({"sagemaker_torch_distributed_enabled": "true"}, "exclude one another"),
    ],
)
def test_what_ray_cannot_be_is_refused(lab: Lab, further: dict[str, str], said: str) -> None:
    with pytest.raises(ClientError, match=said) as refused:
        lab.create("refused", "print(1)", HyperParameters={**RAY, **further})
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_the_command_asks_for_ray(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print(1)")
    shared = littoral(lab, tmp_path, "train.py", "--engine", "ray")
    assert shared.returncode == 1 and "EnableNetworkIsolation" in shared.stderr
    if not subprocess.run([sys.executable, "-c", "import ray"], capture_output=True, check=False).returncode:
        pytest.skip("this Python has ray")
    missing = littoral(lab, tmp_path, "train.py", "--engine", "ray", "--no-network")
    assert missing.returncode == 1 and "has no ray" in missing.stderr
