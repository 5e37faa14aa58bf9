"""The hosts of a job: ``InstanceCount`` of them, on this machine or spread over several. Each has a folder laid out as
SageMaker's ``/opt/ml``, with what it is told in ``input/config``.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from littoral.training.job import Job

WRITABLE: Final = ("code", "model", "output", "output/data", "checkpoints")
READ: Final = ("input", "input/config", "input/data")
GIVEN: Final = ("input/data", "code", "model", "output", "checkpoints")  # to the script, with what is in them
GROUP: Final = "homogeneousCluster"


def addresses(count: int, *, spread: bool = False) -> dict[str, str]:
    """Names and addresses, in the order of both, each host's its own: of this machine's loopback, or of the network
    of a job that is spread."""
    net = "100.64" if spread else "127.0"
    return {f"algo-{at}": f"{net}.{10 + at // 100}.{100 + at % 100}" for at in range(1, count + 1)}


@contextmanager
def meeting() -> Iterator[int]:
    """A port that is free on the loopback, and that nobody else is given meanwhile: who listens there with
    SO_REUSEADDR, as PyTorch does, can."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def lay(root: Path, job: Job, hosts: Mapping[str, str], host: str, port: int) -> None:
    """A host's folder, new."""
    for name in (*READ, *WRITABLE):
        (root / name).mkdir(parents=True)
    wanted = job.wanted
    algorithm = wanted["AlgorithmSpecification"]
    entrypoint = algorithm.get("ContainerEntrypoint", [])
    about = {
        "name": job.name,
        "arn": job.arn,
        "entrypoint": [*entrypoint, *algorithm.get("ContainerArguments", [])] if entrypoint else [],
        "environment": wanted.get("Environment", {}),
        "addresses": dict(hosts),
        "port": port,
    }
    files = {
        "hyperparameters": wanted.get("HyperParameters", {}),
        "inputdataconfig": {each["ChannelName"]: _channel(each) for each in wanted.get("InputDataConfig", ())},
        "resourceconfig": _resources(wanted["ResourceConfig"].get("InstanceType", "local"), hosts, host),
        "job": about,
    }
    for name, content in files.items():
        (root / "input/config" / f"{name}.json").write_text(json.dumps(content))
    for each in (root, root / "input", root / "input/config"):
        each.chmod(0o755)


def _resources(kind: str, addresses: Mapping[str, str], host: str) -> dict[str, Any]:
    """SageMaker's ``resourceconfig.json``."""
    hosts = list(addresses)
    return {
        "current_host": host,
        "current_instance_type": kind,
        "current_group_name": GROUP,
        "hosts": hosts,
        "instance_groups": [{"instance_group_name": GROUP, "instance_type": kind, "hosts": hosts}],
        "network_interface_name": "lo" if addresses[host].startswith("127.") else "eth0",
    }


def _channel(channel: Mapping[str, Any]) -> dict[str, str]:
    told = {"TrainingInputMode": "File", "RecordWrapperType": "None"}
    source = channel["DataSource"]["S3DataSource"]
    told["S3DistributionType"] = source.get("S3DataDistributionType", "FullyReplicated")
    return told | ({"ContentType": channel["ContentType"]} if "ContentType" in channel else {})
