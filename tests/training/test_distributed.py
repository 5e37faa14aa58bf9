"""Several hosts, by torchrun's elastic launcher: one node each. Needs a Python with torch, which CI has not: it is
the one of LITTORAL_TRAIN_PYTHON, else this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.site.conftest import up

from .conftest import Lab, lab_of, workers_of

PYTHON = os.environ.get("LITTORAL_TRAIN_PYTHON", sys.executable)
TORCHRUN = {"sagemaker_torch_distributed_enabled": "true"}
TRAINS = """
import argparse, json, os, sys
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--fails", type=int, default=0)
given = parser.parse_args()
world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
if world > 1:
    dist.init_process_group("gloo")
if given.fails and rank == 1 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
    sys.exit(1)
torch.manual_seed(0)
x = torch.randn(64, 4, dtype=torch.float64)
y = x @ torch.tensor([[1.0], [2.0], [-1.0], [0.5]], dtype=torch.float64)
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()
net = DistributedDataParallel(model) if world > 1 else model
optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
for epoch in range(given.epochs):
    for begin in range(0, 64, 16):
        mine = slice(begin + rank * 16 // world, begin + (rank + 1) * 16 // world)
        optimiser.zero_grad()
        loss = nn.functional.mse_loss(net(x[mine]), y[mine])
        loss.backward()
        optimiser.step()
if rank == 0:
    with torch.no_grad():
        print(f"loss={nn.functional.mse_loss(model(x), y).item():.12f}")
    told = {"world": world, "weights": [float(one) for each in model.parameters() for one in each.detach().flatten()]}
    with open(os.environ["SM_MODEL_DIR"] + "/told.json", "w") as file:
        json.dump(told, file)
if world > 1:
    dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def torch_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if subprocess.run([PYTHON, "-c", "import torch"], capture_output=True, check=False).returncode:
        pytest.skip(f"{PYTHON} has no torch: littoral[train], or name another by LITTORAL_TRAIN_PYTHON")
    folder = tmp_path_factory.mktemp("torch") / "place"
    running = up(folder, "--train-workers", "2", "--train-python", PYTHON)
    yield lab_of(running, folder)
    assert running.process.stop() == 0, running.process.log_end()


def trained(lab: Lab, name: str, workers: int, **further: Any) -> dict[str, Any]:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": workers, "VolumeSizeInGB": 1}
    own = {"epochs": "5", **(TORCHRUN if workers > 1 else {}), **further.pop("HyperParameters", {})}
    metric = {"MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}]}
    lab.create(name, TRAINS, HyperParameters=own, ResourceConfig=resources, Algorithm=metric, **further)
    job = lab.ended(name)
    assert job["TrainingJobStatus"] == "Completed", (job, lab.printed(name))
    found: dict[str, Any] = lab.told(name)
    assert [each["MetricName"] for each in job["FinalMetricDataList"]] == ["loss"]
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_workers_train_what_one_does(torch_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.training.conftest.PATIENCE", 400.0)
    one, two = trained(torch_lab, "one", 1), trained(torch_lab, "two", 2)
    assert (one["world"], two["world"]) == (1, 2)
    assert two["weights"] == pytest.approx(one["weights"], abs=1e-12)
    again = trained(
        torch_lab, "again", 2, HyperParameters={"fails": "1"}, Environment={"PET_MAX_RESTARTS": "1"}
    )  # a worker that ended is started anew, with all others
    assert again["weights"] == pytest.approx(one["weights"], abs=1e-12)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_machines_train_what_one_does(torch_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.training.conftest.PATIENCE", 400.0)
    machines = workers_of(torch_lab, tmp_path)
    machine = next(machines)("elsewhere", "--train-workers", "1", "--train-python", PYTHON)
    spread = {"sagemaker_spread_enabled": "true"}
    one = trained(torch_lab, "on-one", 1)
    two = trained(torch_lab, "on-two", 2, HyperParameters=spread, EnableNetworkIsolation=True)
    assert (one["world"], two["world"]) == (1, 2)
    assert two["weights"] == pytest.approx(one["weights"], abs=1e-12)
    assert machine.end() == 0, machine.log()
    assert next(machines, None) is None


def test_several_workers_need_torch(lab: Lab) -> None:
    if not subprocess.run([PYTHON, "-c", "import torch"], capture_output=True, check=False).returncode:
        pytest.skip("this Python has torch")
    lab.create("several", "print(1)", HyperParameters=TORCHRUN)
    assert "has no torch" in lab.ended("several")["FailureReason"]
