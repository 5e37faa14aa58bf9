"""Several hosts of one job: what each is told, what it has to itself, how they find one another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from littoral.training import leftovers
from littoral.training.hosts import addresses, meeting

from .conftest import Lab

TALKS = """
import json, os, socket
from pathlib import Path

host, hosts = os.environ["SM_CURRENT_HOST"], json.loads(os.environ["SM_HOSTS"])
resources = json.loads(Path("/opt/ml/input/config/resourceconfig.json").read_text())
assert (resources["hosts"], resources["current_host"]) == (hosts, host), resources
model = Path(os.environ["SM_MODEL_DIR"])
told = {"name": socket.gethostname(), "files": sorted(each.name for each in Path("/opt/ml/input/data/part").iterdir())}
(model / f"{host}.json").write_text(json.dumps(told))
(model / "same").write_text(host)
if host == hosts[0]:
    with socket.create_server((host, 7777)) as waiting:
        waiting.settimeout(60)
        for _ in hosts[1:]:
            peer, _ = waiting.accept()
            with peer:
                print("heard", peer.recv(100).decode())
else:
    while True:
        try:
            with socket.create_connection((hosts[0], 7777), 5) as peer:
                peer.sendall(host.encode())
            break
        except ConnectionRefusedError:
            continue
try:
    socket.create_connection(("127.0.0.1", int(os.environ.get("PLACE", "9"))), 5)
    print("met the place")
except OSError:
    print("alone")
"""
FAILS = """
import os, signal
if os.environ["SM_CURRENT_HOST"] == "algo-2":
    raise SystemExit(7)
signal.pause()
"""


def of_parts(lab: Lab) -> list[dict[str, Any]]:
    for key in ("a", "b", "c"):
        lab.s3.put_object(Bucket="lab", Key=f"parts/{key}", Body=key.encode())
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://lab/parts/", "S3DataDistributionType": "ShardedByS3Key"}
    return [{"ChannelName": "part", "DataSource": {"S3DataSource": source}}]


@pytest.mark.parametrize("isolated", [False, True])
def test_hosts_share_a_network_and_nothing_else(lab: Lab, isolated: bool) -> None:
    name = f"talks-{isolated}".lower()
    lab.create(
        name,
        TALKS,
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
        InputDataConfig=of_parts(lab),
        EnableNetworkIsolation=isolated,
        Environment={"PLACE": lab.place.api.rpartition(":")[2]},
    )
    job = lab.ended(name)
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"] + "\n".join(lab.printed(name))
    made = lab.model(name)
    assert sorted(made) == ["algo-1.json", "algo-2.json", "same"]
    assert made["same"] == b"algo-1"
    told = [json.loads(made[f"algo-{at}.json"]) for at in (1, 2)]
    assert [each["name"] for each in told] == ["algo-1", "algo-2"]
    assert [each["files"] for each in told] == [["a", "c"], ["b"]]
    assert sorted(line for line in lab.printed(name) if not line.startswith("Invoking")) == sorted(
        ["heard algo-2", *(["alone", "alone"] if isolated else ["met the place", "met the place"])]
    )
    streams = lab.logs.describe_log_streams(logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/")[
        "logStreams"
    ]
    assert sorted(each["logStreamName"].rpartition("-")[0] for each in streams) == [f"{name}/algo-1", f"{name}/algo-2"]


def test_when_one_host_fails_the_others_end(lab: Lab) -> None:
    lab.create("one-fails", FAILS, ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2})
    job = lab.ended("one-fails")
    assert job["TrainingJobStatus"] == "Failed" and "ExitCode 7" in job["FailureReason"]


def test_addresses_are_in_the_order_of_names() -> None:
    found = list(addresses(300).values())
    assert sorted(found) == found and len(set(found)) == 300
    assert addresses(2) == {"algo-1": "127.0.10.101", "algo-2": "127.0.10.102"}


def test_a_port_is_nobody_elses_meanwhile() -> None:
    with meeting() as one, meeting() as other:
        assert one != other


def test_of_a_name_the_first_hosts_file_counts(tmp_path: Path) -> None:
    for host, names in (("1", ("a", "b")), ("2", ("b", "c"))):
        for name in names:
            (tmp_path / host / "model").mkdir(parents=True, exist_ok=True)
            (tmp_path / host / "model" / name).write_text(host * (1 + int(host)))
    roots = [tmp_path / "1", tmp_path / "2", tmp_path / "nowhere"]
    roots[2].mkdir()
    with leftovers.gathered(roots, "model") as found:
        assert [(left.name, left.size) for _, left in found] == [("a", 2), ("b", 2), ("c", 3)]
