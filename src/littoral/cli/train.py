"""``littoral train``: a script becomes a training job of a running place, is followed, and its model comes back.

Exit codes: 0 completed, 1 failed or stopped by another, 2 wrong usage, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tarfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from littoral.cli.asking import Failed, call, send
from littoral.cli.curve import draw, sparkline
from littoral.cli.flags import pair, settings_flags, settings_of
from littoral.site.settings import Loaded, SettingsError

BUCKET: Final = "sagemaker-{region}-{account}"  # as SageMaker's own SDK calls its default
CHANNEL: Final = "training"  # where none is named, as there
LOSS: Final = ("loss", "loss[=: ]+([-+0-9.eE]+)")
MOST: Final = 1 << 30  # bytes of one file that is sent
ENGINES: Final = {"torchrun": "sagemaker_torch_distributed_enabled", "ray": "sagemaker_ray_enabled"}
SPREAD: Final = "sagemaker_spread_enabled"
LOOK: Final = 0.5  # seconds
STOPPED: Final = 130
OVER: Final = ("Completed", "Failed", "Stopped")


def add(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="run a training script as a job of a place, and follow it",
        description="Run a script as a training job of a running place (SageMaker's script mode), follow it, and "
        "fetch its model. Ctrl-C stops the job. Exit codes: 0 completed, 1 failed or stopped, 130 Ctrl-C.",
        epilog="example: littoral train train.py --data train=./data --hyperparameters epochs=5 lr=0.1 -o model",
    )
    train.add_argument("script", type=Path, help="the script; with --source its path in that folder")
    train.add_argument("--source", type=Path, metavar="DIR", help="a folder that goes with it, as its working folder")
    train.add_argument(
        "--data",
        nargs="+",
        action="extend",
        default=[],
        metavar="[NAME=]WHERE",
        help=f"a channel: a file or folder that is sent, or s3://BUCKET/PREFIX (without a name: {CHANNEL})",
    )
    train.add_argument(
        "--hyperparameters", nargs="+", action="extend", type=pair, default=[], metavar="NAME=VALUE", help="for it"
    )
    train.add_argument(
        "--metric",
        action="append",
        type=pair,
        default=[],
        metavar="NAME=REGEX",
        help=f"a metric: the first group of an expression, found in what it prints (default: {'='.join(LOSS)})",
    )
    train.add_argument("--workers", type=int, default=1, metavar="N", help="that share the work")
    train.add_argument(
        "--engine", choices=list(ENGINES), help="what makes one of them: torchrun, or Ray, which needs --no-network"
    )
    train.add_argument(
        "--spread", action="store_true", help="each on another machine (littoral worker), which needs --no-network"
    )
    train.add_argument("--checkpoints", metavar="S3URI", help="where checkpoints are kept, and found again")
    train.add_argument("--spot", action="store_true", help="with what others leave; it may be interrupted")
    train.add_argument("--max-runtime", type=int, default=86400, metavar="SECONDS", help="default: a day")
    train.add_argument("--no-network", action="store_true", help="it has no network")
    train.add_argument("--job", metavar="NAME", help="of the job (default: the script's, and the time)")
    train.add_argument("--bucket", help="for code, data and results (default: sagemaker-REGION-ACCOUNT)")
    train.add_argument("-o", "--output", type=Path, metavar="DIR", help="the files of the model come here")
    train.add_argument("--plot", type=Path, metavar="FILE", help="the curves of its metrics, as PNG or SVG")
    settings_flags(train)
    train.set_defaults(command=lambda options: run(settings_of(options), options))


def run(loaded: Loaded, options: argparse.Namespace) -> int:
    """Raises Failed, SettingsError."""
    archive, program = _code(options.script, options.source)
    channels = [_channel(text) for text in options.data]
    settings = loaded.settings
    name = options.job or _name(options.script.stem)
    bucket = options.bucket or BUCKET.format(region=settings.region, account=settings.account)
    _make(loaded, bucket)
    _put(loaded, bucket, f"{name}/source/sourcedir.tar.gz", archive)
    wanted = {
        "TrainingJobName": name,
        "RoleArn": f"arn:aws:iam::{settings.account}:role/littoral-train",
        "AlgorithmSpecification": {
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": each, "Regex": regex} for each, regex in options.metric or [LOSS]],
        },
        "HyperParameters": {
            **_engine(options),
            **dict(options.hyperparameters),
            "sagemaker_program": program,
            "sagemaker_submit_directory": f"s3://{bucket}/{name}/source/sourcedir.tar.gz",
        },
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": options.workers},
        "StoppingCondition": {"MaxRuntimeInSeconds": options.max_runtime},
        "EnableNetworkIsolation": options.no_network,
    }
    if channels:
        wanted["InputDataConfig"] = [_sent(loaded, bucket, f"{name}/data", *each) for each in channels]
    if options.checkpoints:
        wanted["CheckpointConfig"] = {"S3Uri": options.checkpoints}
    if options.spot:
        wanted["EnableManagedSpotTraining"] = True
        wanted["StoppingCondition"]["MaxWaitTimeInSeconds"] = 2 * options.max_runtime
    call(loaded, "sagemaker", "SageMaker.CreateTrainingJob", **wanted)
    return _followed(loaded, options, name, wanted["AlgorithmSpecification"]["MetricDefinitions"])


def _engine(options: argparse.Namespace) -> dict[str, str]:
    """The hyperparameter that says it: torchrun where several workers have none named."""
    name = options.engine or ("torchrun" if options.workers > 1 else None)
    spread = {SPREAD: "true"} if options.spread else {}
    return spread if name is None else {ENGINES[name]: "true", **spread}


def _followed(loaded: Loaded, options: argparse.Namespace, name: str, definitions: list[dict[str, str]]) -> int:
    from littoral.cli.following import Follower  # which reads by regular expressions: a core loads none

    follower = Follower(loaded, name, definitions)
    print(f"training job {name}", flush=True)
    interrupted = False
    while True:
        try:
            job = follower.look()
            if job["TrainingJobStatus"] in OVER:
                break
            time.sleep(LOOK)
        except KeyboardInterrupt:
            if interrupted:
                raise Failed(f"{name} is being stopped; nobody waits for its end") from None
            interrupted = True
            print("stopping the job; Ctrl-C again does not wait for its end", file=sys.stderr, flush=True)
            job = call(loaded, "sagemaker", "SageMaker.DescribeTrainingJob", TrainingJobName=name)
            if job["TrainingJobStatus"] == "InProgress":
                call(loaded, "sagemaker", "SageMaker.StopTrainingJob", TrainingJobName=name)
    for metric, values in follower.curves.items():
        print(f"{metric:<12} {values[0]:g} {sparkline(values)} {values[-1]:g}")
    if options.plot is not None:
        draw(options.plot, name, follower.curves)
    model = job["ModelArtifacts"]["S3ModelArtifacts"]
    if model:
        print(f"model: {model}")
        if options.output is not None:
            _fetch(loaded, model, options.output)
    if job["TrainingJobStatus"] == "Failed":
        raise Failed(f"{name} failed: {job['FailureReason']}")
    if job["TrainingJobStatus"] == "Stopped":
        print(f"littoral: {name} was stopped: {job['SecondaryStatus']}", file=sys.stderr)
        return STOPPED if interrupted else 1
    return 0


# ----------------------------------------------------------------------------------------------- what is sent


def _code(script: Path, source: Path | None) -> tuple[bytes, str]:
    """The archive of the code, and the script's path in it. Raises Failed."""
    root = source if source is not None else script.parent
    program = script.as_posix() if source is not None else script.name
    made = io.BytesIO()
    try:
        if not (root / program).is_file():
            raise Failed(f"there is no script {root / program}")
        with tarfile.open(fileobj=made, mode="w:gz") as tar:
            tar.add(root if source is not None else script, "." if source is not None else program, filter=_entry)
    except OSError as problem:
        raise Failed(str(problem)) from problem
    return made.getvalue(), program


def _entry(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return entry if (entry.isfile() or entry.isdir()) and "__pycache__" not in entry.name else None


def _channel(text: str) -> tuple[str, str]:
    """Name and where. Raises SettingsError."""
    name, equals, where = text.partition("=")
    found = (name, where) if equals and "/" not in name else (CHANNEL, text)
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", found[0]) or not found[1]:
        raise SettingsError(f"--data {text}: a channel is written train=./folder or train=s3://bucket/prefix")
    return found


def _sent(loaded: Loaded, bucket: str, prefix: str, name: str, where: str) -> dict[str, Any]:
    """A channel, whose data lies in a bucket. Raises Failed."""
    if not where.startswith("s3://"):
        root = Path(where)
        if not root.exists():
            raise Failed(f"--data: there is no {where}")
        for file in _files(root):
            key = file.relative_to(root).as_posix() if root.is_dir() else file.name
            if file.stat().st_size > MOST:
                raise Failed(
                    f"{file} is larger than 1 GiB: put it into a bucket, and name that by --data {name}=s3://…"
                )
            _put(loaded, bucket, f"{prefix}/{name}/{key}", file.read_bytes())
        where = f"s3://{bucket}/{prefix}/{name}/"
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": where}}}


def _files(root: Path) -> Iterable[Path]:
    return [root] if root.is_file() else sorted(each for each in root.rglob("*") if each.is_file())


def _make(loaded: Loaded, bucket: str) -> None:
    """Where it is not there. Raises Failed."""
    try:
        send(loaded, f"/{bucket}?location", service="s3", method="GET")
    except Failed as problem:
        if "NoSuchBucket" not in str(problem):
            raise
        send(loaded, f"/{bucket}", service="s3", method="PUT")


def _put(loaded: Loaded, bucket: str, key: str, data: bytes) -> None:
    send(loaded, f"/{bucket}/{quote(key, safe='/~')}", service="s3", method="PUT", body=data)


def _name(stem: str) -> str:
    word = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:40] or "train"
    return f"{word}-{datetime.now(UTC):%Y-%m-%d-%H-%M-%S-%f}"[:63]


def _fetch(loaded: Loaded, uri: str, folder: Path) -> None:
    """Raises Failed."""
    data = send(loaded, f"/{quote(uri.removeprefix('s3://'), safe='/~')}", service="s3", method="GET")
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            tar.extractall(folder, filter="data")
            names = tar.getnames()
    except (OSError, tarfile.TarError) as problem:
        raise Failed(f"{uri}: {problem}") from problem
    print(f"{folder}: {', '.join(names) or 'empty'}")
