"""A training job: what was asked for, what became of it. Pure; times are Unix seconds.

``TrainingJobStatus`` is one of five here; ``SecondaryStatus`` says how far it has come, and its history is
``SecondaryStatusTransitions`` (SageMaker API reference, DescribeTrainingJob).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from littoral.training.wanted import SPREAD, says_yes

IN_PROGRESS, COMPLETED, FAILED, STOPPING, STOPPED = "InProgress", "Completed", "Failed", "Stopping", "Stopped"
OVER: Final = frozenset((COMPLETED, FAILED, STOPPED))
STARTING, DOWNLOADING, TRAINING, UPLOADING = "Starting", "Downloading", "Training", "Uploading"
INTERRUPTED, MAX_RUNTIME, MAX_WAIT = "Interrupted", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"
MESSAGES: Final = {
    STARTING: "Starting the training job",
    DOWNLOADING: "Downloading input data",
    TRAINING: "Training in progress",
    UPLOADING: "Uploading generated training model",
    INTERRUPTED: "Training job interrupted; it goes on from its checkpoint when there is room",
    MAX_RUNTIME: "Training job runtime exceeded MaxRuntimeInSeconds provided",
    MAX_WAIT: "Training job exceeded MaxWaitTimeInSeconds provided",
    COMPLETED: "Training job completed",
    FAILED: "Training job failed",
    STOPPING: "Stopping the training job",
    STOPPED: "Training job stopped",
}
MOST_REASON: Final = 1024  # characters of a FailureReason
MOST_TRANSITIONS: Final = 100  # kept, of a job that is interrupted for ever
DAY: Final = 86400

# members of CreateTrainingJob that DescribeTrainingJob gives back as they came
_GIVEN_BACK: Final = (
    *("HyperParameters", "AlgorithmSpecification", "RoleArn", "InputDataConfig", "OutputDataConfig"),
    *("ResourceConfig", "StoppingCondition", "CheckpointConfig", "Environment", "EnableNetworkIsolation"),
    *("EnableManagedSpotTraining", "EnableInterContainerTrafficEncryption", "ProfilerConfig"),
)


@dataclass(slots=True)
class Job:
    name: str
    arn: str
    created: float
    wanted: dict[str, Any]  # CreateTrainingJob's input, checked (``wanted``)
    status: str = IN_PROGRESS
    secondary: str = STARTING
    transitions: list[dict[str, Any]] = field(default_factory=list)
    modified: float = 0.0
    started: float | None = None  # when it first had a processor
    ended: float | None = None
    spent: float = 0.0  # seconds that the script ran in runs that are over
    failure: str = ""
    artifacts: str = ""
    metrics: dict[str, list[float]] = field(default_factory=dict)  # name → latest value, when
    tags: dict[str, str] = field(default_factory=dict)

    # ----------------------------------------------------------------------------------------------- what was asked

    @property
    def spot(self) -> bool:
        return bool(self.wanted.get("EnableManagedSpotTraining"))

    @property
    def workers(self) -> int:
        return int(self.wanted["ResourceConfig"].get("InstanceCount", 1))

    @property
    def isolated(self) -> bool:
        """Whether it has no network but that of its hosts, which may then be on several machines."""
        return bool(self.wanted.get("EnableNetworkIsolation"))

    @property
    def spread(self) -> bool:
        """Whether it wants each of its hosts on another machine."""
        return says_yes(self.wanted, SPREAD)

    @property
    def longest(self) -> int:
        """Seconds that the script may run, in all runs together."""
        return int(self.wanted["StoppingCondition"].get("MaxRuntimeInSeconds", DAY))

    @property
    def due(self) -> float | None:
        """When a spot job must have ended."""
        wait = self.wanted["StoppingCondition"].get("MaxWaitTimeInSeconds")
        return self.created + int(wait) if wait is not None else None

    @property
    def volume(self) -> int:
        """Bytes that its folder may have."""
        return int(self.wanted["ResourceConfig"].get("VolumeSizeInGB", 30)) * 1024**3

    @property
    def output(self) -> str:
        """Where its results go: ``s3://…/NAME/output``."""
        return f"{self.wanted['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output"

    # ----------------------------------------------------------------------------------------------- what becomes of it

    @property
    def over(self) -> bool:
        return self.status in OVER

    def enter(self, secondary: str, now: float, message: str = "") -> None:
        """A step of its way."""
        if self.transitions and "EndTime" not in self.transitions[-1]:
            self.transitions[-1]["EndTime"] = now
        message = message or MESSAGES[secondary]
        self.transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": message})
        del self.transitions[:-MOST_TRANSITIONS]
        self.secondary, self.modified = secondary, now
        if secondary == DOWNLOADING and self.started is None:
            self.started = now

    def stop(self, now: float) -> None:
        self.status = STOPPING
        self.enter(STOPPING, now)

    def end(self, status: str, now: float, *, secondary: str = "", failure: str = "") -> None:
        self.status, self.ended = status, now
        self.failure = failure[:MOST_REASON]
        self.enter(secondary or status, now)
        self.transitions[-1]["EndTime"] = now

    def saw(self, found: dict[str, float], now: float) -> None:
        for name, value in found.items():
            self.metrics[name] = [value, now]

    # ----------------------------------------------------------------------------------------------- how it is told of

    def describe(self) -> dict[str, Any]:
        """DescribeTrainingJob's output."""
        told: dict[str, Any] = {member: self.wanted[member] for member in _GIVEN_BACK if member in self.wanted}
        told |= {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
            "SecondaryStatusTransitions": self.transitions,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "ModelArtifacts": {"S3ModelArtifacts": self.artifacts},
            "FinalMetricDataList": [
                {"MetricName": name, "Value": value, "Timestamp": at} for name, (value, at) in self.metrics.items()
            ],
        }
        if self.failure:
            told["FailureReason"] = self.failure
        if self.started is not None:
            told["TrainingStartTime"] = self.started
        if self.ended is not None:
            told["TrainingEndTime"] = self.ended
            told["TrainingTimeInSeconds"] = told["BillableTimeInSeconds"] = round(self.spent)
        return told

    def summary(self) -> dict[str, Any]:
        """Of ListTrainingJobs."""
        told: dict[str, Any] = {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
        }
        return told if self.ended is None else {**told, "TrainingEndTime": self.ended}

    def document(self) -> dict[str, Any]:
        return asdict(self)
