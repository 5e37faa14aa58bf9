"""What is known of one job. Frozen facts; no storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from littoral.box.manifest import JobType, KeyRange
from littoral.box.region.states import COMPLETE, IN_PROGRESS, NEW
from littoral.store.documents import Document

KEEPS_CODE: Final = 360 * 24 * 3600.0  # seconds after a job's creation for which manifest and code are given
LOGS: Final = {
    "JobCompletionReportURI": "report",
    "JobSuccessLogURI": "success",
    "JobFailureLogURI": "failure",
}


@dataclass(frozen=True, slots=True)
class Moved:
    """How far a transfer between box and region is; totals are 0 until all is listed."""

    objects: int = 0
    bytes: int = 0
    total_objects: int = 0
    total_bytes: int = 0

    def members(self) -> dict[str, int]:
        return {
            "BytesTransferred": self.bytes,
            "ObjectsTransferred": self.objects,
            "TotalBytes": self.total_bytes,
            "TotalObjects": self.total_objects,
        }


@dataclass(frozen=True, slots=True)
class Job:
    id: str
    kind: JobType
    created: float
    address: str
    state: str = NEW
    description: str = ""
    role: str = ""
    capacity: str = "NoPreference"
    device: str = "EDGE"
    shipping: str = "STANDARD"
    resources: Mapping[str, Any] = field(default_factory=dict)  # as the model has them
    moved: Moved = Moved()
    logs: Mapping[str, str] = field(default_factory=dict)  # report, success, failure → where it lies: BUCKET/KEY
    kms_key: str = ""  # the ARN of the key of KMS that what opens its box is sealed under, too
    carried: str = ""  # the address of its box while the region itself carries the transfer out

    def dump(self) -> Document:
        return asdict(self)

    @classmethod
    def load(cls, document: Document) -> Job:
        return cls(**{**document, "moved": Moved(**document["moved"])})

    @property
    def ranges(self) -> tuple[KeyRange, ...]:
        """The job's buckets, and which of their keys."""
        found = []
        for one in self.resources.get("S3Resources") or []:
            bounds = one.get("KeyRange") or {}
            found.append(
                KeyRange(bucket_of(one["BucketArn"]), bounds.get("BeginMarker", ""), bounds.get("EndMarker", ""))
            )
        return tuple(found)

    def entry(self) -> dict[str, Any]:
        """As ListJobs tells of it."""
        told = {
            "JobId": self.id,
            "JobState": self.state,
            "IsMaster": False,
            "JobType": self.kind,
            "SnowballType": self.device,
            "CreationDate": self.created,
        }
        return told | ({"Description": self.description} if self.description else {})

    def metadata(self) -> dict[str, Any]:
        """As DescribeJob tells of it, without its logs."""
        told = self.entry() | {
            "AddressId": self.address,
            "Resources": dict(self.resources),
            "ShippingDetails": {"ShippingOption": self.shipping},
            "SnowballCapacityPreference": self.capacity,
        }
        told.pop("IsMaster")
        if self.role:
            told["RoleARN"] = self.role
        if self.kms_key:
            told["KmsKeyARN"] = self.kms_key
        if self.state in (IN_PROGRESS, COMPLETE):
            told["DataTransferProgress"] = self.moved.members()
        return told


def bucket_of(arn: str) -> str:
    """``arn:aws:s3:::NAME`` → ``NAME``, "" where it is no bucket's."""
    head, colons, name = arn.partition(":s3:::")
    return name if colons and head.startswith("arn:aws") and "/" not in name else ""
