"""Jobs and job templates as they are kept. Times are Unix seconds. The settings are AWS's own structures, checked when
a job is made (``settings``), and read from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from littoral.protocols.jobs.rollout import MAX_PER_MINUTE, Criterion, Rate
from littoral.protocols.jobs.windows import Window

Json = dict[str, Any]

SCHEDULED: Final = "SCHEDULED"
RUNNING: Final = "IN_PROGRESS"
COMPLETED: Final = "COMPLETED"
CANCELED: Final = "CANCELED"
DELETING: Final = "DELETION_IN_PROGRESS"
OVER: Final = frozenset((COMPLETED, CANCELED))
SNAPSHOT: Final = "SNAPSHOT"
CONTINUOUS: Final = "CONTINUOUS"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a template and a job have in common, by AWS's names and in AWS's shapes."""

    presigned: Json = field(default_factory=dict)  # presignedUrlConfig
    rollout: Json = field(default_factory=dict)  # jobExecutionsRolloutConfig
    abort: Json = field(default_factory=dict)  # abortConfig
    timeout: Json = field(default_factory=dict)  # timeoutConfig
    retry: Json = field(default_factory=dict)  # jobExecutionsRetryConfig

    @property
    def rate(self) -> Rate:
        grows = self.rollout.get("exponentialRate")
        most = self.rollout.get("maximumPerMinute", MAX_PER_MINUTE)
        if not grows:
            return Rate(most)
        criteria = grows["rateIncreaseCriteria"]
        return Rate(
            most,
            grows["baseRatePerMinute"],
            grows["incrementFactor"],
            criteria.get("numberOfNotifiedThings"),
            criteria.get("numberOfSucceededThings"),
        )

    @property
    def criteria(self) -> list[Criterion]:
        return [
            Criterion(one["failureType"], one["thresholdPercentage"], one["minNumberOfExecutedThings"])
            for one in self.abort.get("criteriaList", [])
        ]

    @property
    def retries(self) -> Mapping[str, int]:
        return {one["failureType"]: one["numberOfRetries"] for one in self.retry.get("criteriaList", [])}

    @property
    def minutes(self) -> int | None:
        found: int | None = self.timeout.get("inProgressTimeoutInMinutes")
        return found

    @property
    def expires(self) -> int:
        """Seconds that a presigned URL is good for."""
        return int(self.presigned.get("expiresInSec", 3600))


def windows_of(given: Sequence[Json]) -> list[Window]:
    return [Window(one["startTime"], one["durationInMinutes"]) for one in given]


@dataclass(frozen=True, slots=True)
class Job:
    id: str
    targets: tuple[str, ...]  # ARNs of things and thing groups
    selection: str
    document: str
    created: float
    updated: float
    status: str = RUNNING
    settings: Settings = field(default_factory=Settings)
    description: str = ""
    source: str | None = None  # documentSource
    template: str | None = None  # its ARN
    completed: float | None = None
    reason: str | None = None  # reasonCode
    comment: str | None = None
    forced: bool = False
    starts: float | None = None
    ends: float | None = None
    schedule: Json = field(default_factory=dict)  # schedulingConfig, as it was given
    stopped: bool = False  # its end has come: nobody new is told of it
    parameters: dict[str, str] | None = None  # documentParameters, of a managed template's document
    namespace: str = ""  # namespaceId: its topics are others, and who asks without it is not told of it

    @property
    def windows(self) -> list[Window]:
        return windows_of(self.schedule.get("maintenanceWindows", ()))

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> Job:
        return cls(**{**found, "targets": tuple(found["targets"]), "settings": Settings(**found["settings"])})


@dataclass(frozen=True, slots=True)
class Template:
    id: str
    description: str
    document: str
    created: float
    settings: Settings = field(default_factory=Settings)
    source: str | None = None
    windows: list[Json] = field(default_factory=list)  # maintenanceWindows

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> Template:
        return cls(**{**found, "settings": Settings(**found["settings"])})
