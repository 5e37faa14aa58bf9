"""What ends a job that does not end by itself: patience, memory, the size of its volume. Without a whole place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from littoral.functions.alone import Bench
from littoral.objects import Objects
from littoral.site.training import TOOLKIT, TrainingObjects, TrainingSandbox
from littoral.store.embedded import EmbeddedStore
from littoral.training import Outside, Training
from tests.site.conftest import ROLE
from tests.support.served import Served, served

from .conftest import tar_of, until

MEMORY = 400 * 1024 * 1024
GIB = 1 << 30
SAID: list[bytes] = []


async def factory(store: EmbeddedStore) -> dict[str, Any]:
    folder = store.folder.parent
    objects = await Objects.open(store, folder / "objects")
    await objects.start()
    outside = Outside(
        TrainingObjects(objects),
        TrainingSandbox(Bench(TOOLKIT, True, MEMORY), None),
        lambda _, lines: SAID.extend(lines),
        dict,
    )
    training = await Training.open(
        store.records("training"),
        folder / "training",
        outside,
        cores=1,
        region="us-east-1",
        account="000000000000",
        patience=1.0,
    )
    await training.begin()
    return {"s3": objects.api, "sagemaker": training.api, "close": [training.close, objects.close]}


@pytest.fixture(scope="module")
def place() -> Iterator[Served]:
    with served(factory) as running:
        boto3.client("s3", **running.client_kwargs).create_bucket(Bucket="lab")
        yield running


def create(place: Served, name: str, script: str, **further: Any) -> Any:
    """The client."""
    body = tar_of({"train.py": script})
    boto3.client("s3", **place.client_kwargs).put_object(Bucket="lab", Key=f"{name}.tar.gz", Body=body)
    client = boto3.client("sagemaker", **place.client_kwargs)
    wanted = {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "HyperParameters": {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://lab/{name}.tar.gz",
        },
        "OutputDataConfig": {"S3OutputPath": "s3://lab/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    client.create_training_job(**(wanted | further))
    return client


def ended(client: Any, name: str) -> dict[str, Any]:
    def over() -> dict[str, Any] | None:
        found: dict[str, Any] = client.describe_training_job(TrainingJobName=name)
        return found if "TrainingEndTime" in found else None

    found: dict[str, Any] = until(over)
    return found


STUBBORN = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"])
print("deaf")
while True:
    signal.pause()
"""


def test_who_does_not_hear_is_killed(place: Served) -> None:
    client = create(place, "deaf", STUBBORN)
    until(lambda: b"deaf" in SAID)
    client.stop_training_job(TrainingJobName="deaf")
    assert client.describe_training_job(TrainingJobName="deaf")["TrainingJobStatus"] in {"Stopping", "Stopped"}
    assert ended(client, "deaf")["TrainingJobStatus"] == "Stopped"


def test_memory_is_bounded(place: Served) -> None:
    client = create(place, "greedy", "kept = bytearray(1 << 30)\nprint('MUCH', len(kept))")
    job = ended(client, "greedy")
    assert job["TrainingJobStatus"] == "Failed" and b"MUCH 1073741824" not in SAID
    assert "MemoryError" in job["FailureReason"]


def test_the_volume_is_bounded(place: Served) -> None:
    if shutil.disk_usage(place.folder).free < 8 * GIB:
        pytest.skip("needs a disk with 8 GiB free")
    fills = "import os, signal\nwith open('/opt/ml/model/large', 'wb') as file:\n"
    fills += f"    os.posix_fallocate(file.fileno(), 0, {GIB + GIB // 8})\nsignal.pause()"
    client = create(place, "fills", fills)
    job = ended(client, "fills")
    assert job["TrainingJobStatus"] == "Failed"
    assert "took more than the 1 GB of its volume" in job["FailureReason"]


def test_who_prints_much_waits_and_loses_nothing(place: Served) -> None:
    script = "for at in range(3000):\n    print('much', at, 'x' * 1000)\nprint('the end', end='')"
    job = ended(create(place, "prints", script), "prints")
    assert job["TrainingJobStatus"] == "Completed"
    much = [line.split() for line in SAID if line.startswith(b"much")]
    assert [int(words[1]) for words in much] == list(range(3000)) and all(len(words[2]) == 1000 for words in much)
    assert SAID[-1] == b"the end"


SHARES = """
from multiprocessing import Process, Queue
from multiprocessing.shared_memory import SharedMemory

def work(queue):
    seen = SharedMemory("mine")
    queue.put(seen.buf[0])
    seen.close()

if __name__ == "__main__":
    memory = SharedMemory("mine", create=True, size=10)
    memory.buf[0] = 7
    queue = Queue()
    one = Process(target=work, args=(queue,))
    one.start()
    one.join()
    print("shared", queue.get(timeout=60))
    memory.close()
    memory.unlink()
"""


def test_shared_memory_is_there(place: Served) -> None:
    """What PyTorch's data loaders use."""
    job = ended(create(place, "shares", SHARES), "shares")
    assert job["TrainingJobStatus"] == "Completed", (job, SAID[-20:])
    assert b"shared 7" in SAID
