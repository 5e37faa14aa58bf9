"""The network between hosts of a training job on two machines: bytes a second each way, round trips, processor time.

``.venv/bin/python bench/bench_training_hosts.py [--mib 512]``: a region as ``littoral up`` starts it and a machine that
joined (a process here, over loopback) have a host each; the script sends from one to the other over TCP, as gloo would.
What is measured is the way between them: TUN, TLS, the region's switch, TUN.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from littoral.tour.places import PlaceProcess
from littoral.tour.steps import FREE_PORTS, credentials

TICK = os.sysconf("SC_CLK_TCK")
LITTORAL = (sys.executable, "-m", "littoral")
SCRIPT = """
import argparse, json, os, socket, time

parser = argparse.ArgumentParser()
parser.add_argument("--mib", type=int)
size, piece = parser.parse_args().mib << 20, bytes(1 << 20)
host, hosts = os.environ["SM_CURRENT_HOST"], json.loads(os.environ["SM_HOSTS"])


def take(line, left):
    while left:
        left -= len(line.recv(min(left, 1 << 20)))


def send(line):
    for _ in range(size >> 20):
        line.sendall(piece)


def timed(what):
    begin = time.perf_counter()
    what()
    return time.perf_counter() - begin


def echo(line):
    line.sendall(b"x")
    line.recv(1)


if host == hosts[0]:
    with socket.create_server((host, 7777)) as waiting:
        line, _ = waiting.accept()
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"from the machine {size / timed(lambda: take(line, size)) / 1e6:.0f} MB/s", flush=True)
    print(f"to the machine   {size / timed(lambda: (send(line), take(line, 1))) / 1e6:.0f} MB/s", flush=True)
    times = sorted(timed(lambda: echo(line)) for _ in range(1000))
    print(f"round trip       {times[500] * 1e6:.0f} us (p99 {times[990] * 1e6:.0f} us)", flush=True)
else:
    while True:
        try:
            line = socket.create_connection((hosts[0], 7777))
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    send(line)
    take(line, size)
    line.sendall(b"y")
    for _ in range(1000):
        line.recv(1)
        line.sendall(b"x")
"""


def cpu(pid: int) -> float:
    """Seconds, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


@contextmanager
def joined(region: Path, folder: Path) -> Iterator[int]:
    """A machine of one host; its process."""
    bundle = folder / "far.bundle"
    words = ("worker", "bundle", "far", "--out", str(bundle), "--data-dir", str(region))
    subprocess.run([*LITTORAL, *words], check=True, capture_output=True)
    words = ("worker", "join", str(bundle), "--train-workers", "1", "--data-dir", str(folder / "far"))
    with subprocess.Popen([*LITTORAL, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as machine:
        try:
            assert machine.stdout is not None and machine.stdout.readline() == b"ready\n"
            yield machine.pid
        finally:
            machine.terminate()


def run(api: str, folder: Path, mib: int) -> list[str]:
    """What the job printed."""
    access, secret = credentials(folder)
    own = {"aws_access_key_id": access, "aws_secret_access_key": secret, "region_name": "us-east-1"}
    s3, sagemaker, logs = (boto3.client(each, endpoint_url=api, **own) for each in ("s3", "sagemaker", "logs"))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo("net.py")
        entry.size = len(SCRIPT)
        tar.addfile(entry, io.BytesIO(SCRIPT.encode()))
    s3.create_bucket(Bucket="bench")
    s3.put_object(Bucket="bench", Key="net.tar.gz", Body=packed.getvalue())
    code = {"sagemaker_program": "net.py", "sagemaker_submit_directory": "s3://bench/net.tar.gz"}
    wanted: dict[str, Any] = {
        "TrainingJobName": "net",
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "RoleArn": "arn:aws:iam::000000000000:role/bench",
        "HyperParameters": {**code, "sagemaker_spread_enabled": "true", "mib": str(mib)},
        "OutputDataConfig": {"S3OutputPath": "s3://bench/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "EnableNetworkIsolation": True,
    }
    sagemaker.create_training_job(**wanted)
    while (job := sagemaker.describe_training_job(TrainingJobName="net"))["TrainingJobStatus"] == "InProgress":
        time.sleep(1.0)
    if job["TrainingJobStatus"] != "Completed":
        raise SystemExit(job["FailureReason"])
    found = logs.filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="net/algo-1")
    return [each["message"] for each in found["events"] if not each["message"].startswith("Invoking")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=512, help="sent each way")
    mib = parser.parse_args().mib
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        region = PlaceProcess("region", "region", folder / "region", FREE_PORTS, {})
        try:
            region.wait_ready()
            with joined(folder / "region", folder) as machine:
                before = cpu(region.pid), cpu(machine)
                print(*run(region.urls["api"], folder / "region", mib), sep="\n")
                sent = 2 * mib * 1.048576 / 1000
                for name, pid, since in (("region", region.pid, before[0]), ("machine", machine, before[1])):
                    print(f"{name:<16} {(cpu(pid) - since) / sent:.1f} s of processor a GB, with the rest of the job")
        finally:
            region.stop()


if __name__ == "__main__":
    main()
