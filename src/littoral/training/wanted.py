"""CreateTrainingJob's input: what of it can be had here, and what cannot is refused in SageMaker's words.

The model's own constraints (lengths, patterns) were looked at before. There are no container images here, no file
systems and no pipes; ``InstanceType`` and ``TrainingImage`` are labels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from littoral.aws.service import ServiceError, modelled
from littoral.training.metrics import uncompiled

Wanted = Mapping[str, Any]
HasBucket = Callable[[str], bool]

RAY: Final = "sagemaker_ray_enabled"
ENGINES: Final = (RAY, "sagemaker_torch_distributed_enabled")
SPREAD: Final = "sagemaker_spread_enabled"  # ours: each host on another machine
CHECKPOINTS: Final = "/opt/ml/checkpoints"
# of a channel, beside ChannelName, ContentType and InputMode: what may be said, as it changes nothing
_CHANNEL: Final = {"CompressionType": ("None",), "RecordWrapperType": ("None",), "ShuffleConfig": ()}
_SOURCE: Final = frozenset(("S3DataType", "S3Uri", "S3DataDistributionType"))
_RESOURCES: Final = frozenset(("InstanceType", "InstanceCount", "VolumeSizeInGB"))
_ALGORITHM: Final = frozenset(
    (
        *("TrainingImage", "TrainingInputMode", "MetricDefinitions", "ContainerEntrypoint", "ContainerArguments"),
        "EnableSageMakerMetricsTimeSeries",
    )
)


invalid = modelled("ValidationException")


def not_here(what: str) -> ServiceError:
    return ServiceError("NotImplemented", f"CreateTrainingJob: {what} is not implemented here.", status=501)


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of ``s3://BUCKET/KEY``. Raises ValidationException."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise invalid(f"S3 URI {uri!r} is not supported here: s3://BUCKET/KEY is")
    return bucket, key


def check(wanted: Wanted, has: HasBucket, cores: int, away: int = 0) -> None:
    """``away``: workers that other machines take. Raises ValidationException, ResourceLimitExceeded, NotImplemented."""
    _check_algorithm(wanted)
    _check_engine(wanted)
    _check_resources(wanted["ResourceConfig"])
    _check_room(wanted, cores, away)
    _check_stopping(wanted)
    channels = wanted.get("InputDataConfig", ())
    names = [each["ChannelName"] for each in channels]
    if len(set(names)) != len(names):
        raise invalid("ChannelNames are to differ")
    for each in channels:
        _check_channel(each)
    if wanted["OutputDataConfig"].get("KmsKeyId"):
        raise not_here("KmsKeyId of OutputDataConfig")
    _check_checkpoints(wanted.get("CheckpointConfig"))
    profiler = wanted.get("ProfilerConfig")
    if profiler and not profiler.get("DisableProfiler"):
        raise not_here("a ProfilerConfig that does not disable the profiler")
    for uri in _places(wanted):
        bucket, _ = split(uri)
        if not has(bucket):
            raise invalid(f"The S3 bucket {bucket!r} of {uri} does not exist")


def _places(wanted: Wanted) -> Iterator[str]:
    yield wanted["OutputDataConfig"]["S3OutputPath"]
    for channel in wanted.get("InputDataConfig", ()):
        yield channel["DataSource"]["S3DataSource"]["S3Uri"]
    if "CheckpointConfig" in wanted:
        yield wanted["CheckpointConfig"]["S3Uri"]
    submitted = code_of(wanted)
    if submitted is not None:
        yield submitted


def code_of(wanted: Wanted) -> str | None:
    """Where the submitted code lies."""
    return _parameter(wanted, "sagemaker_submit_directory")


def _parameter(wanted: Wanted, name: str) -> str | None:
    """The SDK writes hyperparameters as JSON."""
    given = wanted.get("HyperParameters", {}).get(name)
    if given is None:
        return None
    try:
        return str(json.loads(given))
    except ValueError:
        return str(given)


def says_yes(wanted: Wanted, name: str) -> bool:
    return str(_parameter(wanted, name)).lower() == "true"


def _check_algorithm(wanted: Wanted) -> None:
    asked = wanted["AlgorithmSpecification"]
    for member in sorted(asked.keys() - _ALGORITHM):
        raise not_here(f"{member} of AlgorithmSpecification")
    if asked["TrainingInputMode"] not in {"File", "FastFile"}:
        raise not_here(f"TrainingInputMode {asked['TrainingInputMode']}")
    program = _parameter(wanted, "sagemaker_program")
    if "ContainerEntrypoint" not in asked and (program is None or code_of(wanted) is None):
        raise invalid(
            "There are no container images here: name a script by the hyperparameters sagemaker_program and "
            "sagemaker_submit_directory, or a ContainerEntrypoint"
        )
    if program is not None and (program.startswith("/") or ".." in program.split("/")):
        raise invalid("sagemaker_program is a path within sagemaker_submit_directory")
    for each in asked.get("MetricDefinitions", ()):
        problem = uncompiled(each["Regex"])
        if problem:
            raise invalid(f"The regular expression of metric {each['Name']!r} cannot be compiled: {problem}")


def _check_engine(wanted: Wanted) -> None:
    """Who makes one of several hosts. Ray's processes listen on every address that they see."""
    ray, torch = (says_yes(wanted, each) for each in ENGINES)
    if ray and torch:
        raise invalid(f"{' and '.join(ENGINES)} exclude one another")
    if ray and not wanted.get("EnableNetworkIsolation"):
        raise invalid(f"{RAY} needs EnableNetworkIsolation: Ray listens on every address of the network that it has")


def _check_resources(asked: Wanted) -> None:
    for member in sorted(asked.keys() - _RESOURCES):
        raise not_here(f"{member} of ResourceConfig")
    count = asked.get("InstanceCount", 1)
    if count < 1:
        raise invalid("InstanceCount must be at least 1")
    if asked.get("VolumeSizeInGB", 1) < 1:
        raise invalid("VolumeSizeInGB must be at least 1")


def _check_room(wanted: Wanted, cores: int, away: int) -> None:
    """The network between hosts on several machines is theirs alone: only a job without another one has such."""
    count, isolated = wanted["ResourceConfig"].get("InstanceCount", 1), wanted.get("EnableNetworkIsolation")
    spread = says_yes(wanted, SPREAD)
    if spread and not isolated:
        raise invalid(f"{SPREAD} needs EnableNetworkIsolation: hosts on several machines have a network of their own")
    here = 1 if spread else cores
    if count <= here + (away if isolated else 0):
        return
    message = f"InstanceCount {count}: workers run on this machine, one a processor, and it has {cores} for training"
    if isolated:
        message += f"; other machines offer {away}"
    elif away:
        message += f"; the {away} that other machines offer are for jobs with EnableNetworkIsolation"
    raise ServiceError("ResourceLimitExceeded", message, status=400)


def _check_stopping(wanted: Wanted) -> None:
    asked = wanted["StoppingCondition"]
    runtime, wait = asked.get("MaxRuntimeInSeconds", 86400), asked.get("MaxWaitTimeInSeconds")
    if asked.get("MaxPendingTimeInSeconds") is not None:
        raise not_here("MaxPendingTimeInSeconds")
    if runtime < 1:
        raise invalid("MaxRuntimeInSeconds must be at least 1")
    if wanted.get("EnableManagedSpotTraining"):
        if wait is None:
            raise invalid("MaxWaitTimeInSeconds is needed where EnableManagedSpotTraining is true")
        if wait < runtime:
            raise invalid("MaxWaitTimeInSeconds must not be less than MaxRuntimeInSeconds")
    elif wait is not None:
        raise invalid("MaxWaitTimeInSeconds is for jobs with EnableManagedSpotTraining")


def _check_channel(channel: Wanted) -> None:
    name = channel["ChannelName"]
    source = channel["DataSource"].get("S3DataSource")
    if source is None or len(channel["DataSource"]) > 1:
        raise not_here(f"the DataSource of channel {name!r}: only S3DataSource is there")
    if source["S3DataType"] != "S3Prefix":
        raise not_here(f"S3DataType {source['S3DataType']} of channel {name!r}")
    for member in sorted(source.keys() - _SOURCE):
        if source[member]:
            raise not_here(f"{member} of channel {name!r}")
    if channel.get("InputMode", "File") not in {"File", "FastFile"}:
        raise not_here(f"InputMode {channel['InputMode']} of channel {name!r}")
    for member, known in _CHANNEL.items():
        if channel.get(member) is not None and channel[member] not in known:
            raise not_here(f"{member} of channel {name!r}")
    if name in {".", ".."}:
        raise invalid(f"{name!r} cannot be the name of a channel")


def _check_checkpoints(asked: Wanted | None) -> None:
    if asked is not None and asked.get("LocalPath", CHECKPOINTS).rstrip("/") != CHECKPOINTS:
        raise invalid(f"Checkpoints are in {CHECKPOINTS} here; LocalPath cannot be {asked['LocalPath']!r}")
