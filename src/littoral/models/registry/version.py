"""One version of a model: what it is, where it comes from, how far it may go. Pure.

Lineage and metrics are the version's properties (SageMaker's CustomerMetadataProperties) under the names below, so any
client of the API writes and reads them; the place's own, which begin with ``littoral.``, it writes itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from littoral.models.registry.onnxfile import Tensor
from littoral.models.registry.refusal import BadName
from littoral.models.registry.signing import statement

PENDING: Final = "PendingManualApproval"
APPROVED: Final = "Approved"
REJECTED: Final = "Rejected"
STAGES: Final = (PENDING, APPROVED, REJECTED)
NAME: Final = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")

OWN: Final = "littoral."  # properties that the place writes
METRIC: Final = "metric."
LINEAGE: Final = ("data", "code", "training-job", "parent")
MOST_PROPERTIES: Final = 44  # of the 50 that SageMaker has; the others are the place's own
LONGEST_KEY: Final = 128
LONGEST_VALUE: Final = 256


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a version comes from; "" where that is not known."""

    data: str = ""  # what it was trained on: s3:// URIs, with commas between
    code: str = ""  # what trained it: a commit, a repository, an s3:// URI
    training_job: str = ""  # name or ARN
    parent: str = ""  # what it was made of: "ward/3", for a quantised ward/3

    @property
    def properties(self) -> dict[str, str]:
        said = (self.data, self.code, self.training_job, self.parent)
        return {key: value for key, value in zip(LINEAGE, said, strict=True) if value}


@dataclass(slots=True)
class Version:
    name: str
    number: int
    created: float
    sha256: str  # hex, of the ONNX file
    size: int  # bytes of it
    signature: str  # base64, under ``statement``
    key: str  # base64, the public key that it is by
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    stage: str = PENDING
    description: str = ""
    properties: dict[str, str] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)  # what CreateModelPackage said beside, in its own words
    changed: float = 0.0
    approval: str = ""  # why it has its stage
    token: str = ""  # the client's, that makes a call once

    @classmethod
    def of(cls, document: dict[str, Any]) -> Version:
        tensors = {key: tuple(map(Tensor.of, document[key])) for key in ("inputs", "outputs")}
        return cls(**{**document, **tensors})

    @property
    def document(self) -> dict[str, Any]:
        shown = asdict(self)
        return {
            **shown,
            "inputs": [each.document for each in self.inputs],
            "outputs": [each.document for each in self.outputs],
        }

    @property
    def statement(self) -> bytes:
        return statement(self.name, self.number, self.sha256, self.size)

    @property
    def lineage(self) -> Lineage:
        return Lineage(*(self.properties.get(key, "") for key in LINEAGE))

    @property
    def metrics(self) -> dict[str, float]:
        found = {key.removeprefix(METRIC): value for key, value in self.properties.items() if key.startswith(METRIC)}
        return {key: float(value) for key, value in found.items()}

    @property
    def shown(self) -> dict[str, str]:
        """Its properties, with the place's own."""
        own = {
            "sha256": self.sha256,
            "size": str(self.size),
            "signature": self.signature,
            "key": self.key,
            "inputs": ", ".join(map(str, self.inputs))[:LONGEST_VALUE],
            "outputs": ", ".join(map(str, self.outputs))[:LONGEST_VALUE],
        }
        return {**self.properties, **{OWN + key: value for key, value in own.items()}}


def metric_properties(metrics: Mapping[str, float]) -> dict[str, str]:
    return {METRIC + key: repr(float(value)) for key, value in metrics.items()}


def checked(properties: Mapping[str, str]) -> dict[str, str]:
    """What a caller may say of a version. Raises BadName."""
    for key, value in properties.items():
        if key.startswith(OWN):
            raise BadName(f"the property {key} is the place's own")
        if not 0 < len(key) <= LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise BadName(
                f"a property has a name of 1 to {LONGEST_KEY} characters and a value of at most {LONGEST_VALUE}"
            )
        if key.startswith(METRIC) and not _finite(value):
            raise BadName(f"the metric {key.removeprefix(METRIC)} is no finite number: {value}")
    if len(properties) > MOST_PROPERTIES:
        raise BadName(f"a version has at most {MOST_PROPERTIES} properties")
    return dict(properties)


def _finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
