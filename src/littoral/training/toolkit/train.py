"""Within the sandbox: lay out the code of a training job, tell it what it is told on SageMaker, become it.

Usage: ``python train.py ROOT``, ROOT being ``/opt/ml`` or what stands for it. Standard library only: it runs in the
Python that the script runs in. What is in ``ROOT/input/config`` was written by the place: ``hyperparameters.json``,
``inputdataconfig.json`` and ``resourceconfig.json`` as SageMaker has them, and ``job.json`` with what else is to be
known: ``arn``, ``name``, ``entrypoint``, ``environment``, ``addresses`` of the hosts, the ``port`` where they meet.

Script mode is that of SageMaker's training toolkit: ``sagemaker_program`` of ``sagemaker_submit_directory``, which the
place has left as ``ROOT/input/sourcedir.tar.gz``; hyperparameters become arguments and ``SM_HPS``. Each host runs it;
where ``sagemaker_torch_distributed_enabled`` says so, torchrun's elastic launcher does, and the hosts are its nodes;
where ``sagemaker_ray_enabled``, which is ours, does, the first one runs it and all are Ray's (``ray_hosts.py``).
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"
DISTRIBUTED = "sagemaker_torch_distributed_enabled"
RAY = "sagemaker_ray_enabled"
OWN = "sagemaker_"  # begins the names of hyperparameters that are not the script's


class Wrong(Exception):
    """What was asked for cannot be; the message is for whoever asked."""


def decoded(hyperparameters: dict[str, str]) -> dict[str, Any]:
    """SageMaker's SDK writes each value as JSON, other clients as it is."""
    return {name: _value(text) for name, text in hyperparameters.items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def arguments(given: dict[str, Any]) -> list[str]:
    """``--name value``, in the order of the names; ``-n value`` where the name is one letter."""
    found = []
    for name in sorted(given):
        value = given[name]
        found += [f"-{name}" if len(name) == 1 else f"--{name}", *_argument(value)]
    return found


def _argument(value: Any) -> list[str]:
    if value is None or value == "":
        return [] if value is None else [""]
    return [value if isinstance(value, str) else json.dumps(value) if isinstance(value, list | dict) else str(value)]


def environment(root: str, config: dict[str, Any], given: dict[str, Any]) -> dict[str, str]:
    """What SageMaker's training toolkit tells a script: paths, channels, hyperparameters, hosts."""
    own = {name: value for name, value in given.items() if not name.startswith(OWN)}
    channels = sorted(config["inputdataconfig"])
    entry = given.get("sagemaker_program", "")
    told: dict[str, Any] = {
        "input_dir": f"{root}/input",
        "input_config_dir": f"{root}/input/config",
        "model_dir": f"{root}/model",
        "output_dir": f"{root}/output",
        "output_data_dir": f"{root}/output/data",
        "checkpoint_dir": f"{root}/checkpoints",  # ours: on SageMaker a script knows the path
        "channels": channels,
        "hps": own,
        "user_args": arguments(own),
        "user_entry_point": entry,
        "module_name": entry.removesuffix(".py"),
        "module_dir": given.get("sagemaker_submit_directory", ""),
        "hosts": config["resourceconfig"]["hosts"],
        "current_host": config["resourceconfig"]["current_host"],
        "num_cpus": os.cpu_count() or 1,
        "num_gpus": 0,
        "resource_config": config["resourceconfig"],
        "input_data_config": config["inputdataconfig"],
        "current_instance_type": config["resourceconfig"]["current_instance_type"],
        "training_env": {"job_name": config["job"]["name"], "channel_input_dirs": _folders(root, channels), **own},
    }
    told |= {f"channel_{name}": folder for name, folder in _folders(root, channels).items()}
    told |= {f"hp_{name}": value for name, value in own.items()}
    found = {f"SM_{name.upper()}": _text(value) for name, value in told.items()}
    # PyTorch 2.13 starts workers anew with a store that still has the addresses of those that ended, if it shares it.
    network = config["resourceconfig"]["network_interface_name"]
    found |= {"GLOO_SOCKET_IFNAME": network, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    found |= {"TRAINING_JOB_NAME": config["job"]["name"], "TRAINING_JOB_ARN": config["job"]["arn"]}
    found |= config["job"]["environment"]
    return found


def _folders(root: str, channels: list[str]) -> dict[str, str]:
    return {name: f"{root}/input/data/{name}" for name in channels}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def command(root: str, config: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """What is to run in ``ROOT/code``. Raises Wrong."""
    if config["job"]["entrypoint"]:
        return list(config["job"]["entrypoint"])
    program = str(given["sagemaker_program"])
    script = Path(root, "code", program)
    if not script.is_file():
        raise Wrong(f"there is no {program} in sagemaker_submit_directory")
    own = arguments({name: value for name, value in given.items() if not name.startswith(OWN)})
    plain = ["/bin/sh", program, *own] if program.endswith(".sh") else [sys.executable, program, *own]
    if _says_yes(given, RAY):
        if not _has("ray"):
            raise Wrong(f"{sys.executable} has no ray, which {RAY} needs: pip install ray")
        return [sys.executable, str(Path(__file__).with_name("ray_hosts.py")), root, *plain]
    if _says_yes(given, DISTRIBUTED):
        if not _has("torch"):
            raise Wrong(f"{sys.executable} has no torch, which {DISTRIBUTED} needs: pip install 'littoral[train]'")
        return [*launcher(config), program, *own]
    return plain


def _says_yes(given: dict[str, Any], name: str) -> bool:
    return str(given.get(name)).lower() == "true"


def launcher(config: dict[str, Any]) -> list[str]:
    """torchrun: one worker a host, as SageMaker has it where there is no GPU. The first host keeps what all meet by."""
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=1"]
    addresses, host = config["job"]["addresses"], config["resourceconfig"]["current_host"]
    if len(addresses) == 1:
        return [*words, "--standalone", f"--local-addr={LOOPBACK}"]
    first = next(iter(addresses.values()))
    return [
        *(*words, f"--nnodes={len(addresses)}", "--rdzv-backend=c10d", f"--rdzv-id={config['job']['name']}"),
        *(f"--rdzv-endpoint={first}:{config['job']['port']}", f"--rdzv-conf=is_host={addresses[host] == first}"),
        f"--local-addr={addresses[host]}",
    ]


def _has(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def unpack(archive: Path, folder: Path) -> None:
    """The submitted code. Raises Wrong."""
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as problem:
        raise Wrong(f"sagemaker_submit_directory cannot be unpacked: {problem}") from problem


def main(root: str) -> None:
    """Never returns unless something is wrong (Wrong, OSError)."""
    folder = Path(root, "input", "config")
    names = ("hyperparameters", "inputdataconfig", "resourceconfig", "job")
    config = {name: json.loads((folder / f"{name}.json").read_text()) for name in names}
    given = decoded(config["hyperparameters"])
    archive, code = Path(root, "input", "sourcedir.tar.gz"), Path(root, "code")
    if archive.exists():
        unpack(archive, code)
    if (code / "requirements.txt").exists():
        print("requirements.txt is not installed here: scripts have the packages of this Python", file=sys.stderr)
    os.environ |= environment(root, config, given)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(code), os.environ.get("PYTHONPATH"))))
    words = command(root, config, given)
    os.chdir(code)
    print("Invoking", " ".join(words), flush=True)
    os.execvp(words[0], words)  # noqa: S606


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (Wrong, OSError) as problem:
        print(f"ClientError: {problem}", file=sys.stderr)
        Path(sys.argv[1], "output", "failure").write_text(str(problem))
        sys.exit(1)
