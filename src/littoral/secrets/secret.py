"""One secret: what is told of it, and which of its versions has which stages. Pure.

A stage is on one version at most. When AWSCURRENT moves, the version that had it gets AWSPREVIOUS. A version without a
stage is deprecated; of those the youngest ``MOST_DEPRECATED`` are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from littoral.secrets.errors import invalid_parameter, invalid_request, too_many

CURRENT: Final = "AWSCURRENT"
PREVIOUS: Final = "AWSPREVIOUS"
MOST_STAGES: Final = 20  # of one version
MOST_DEPRECATED: Final = 20
MOST_TAGS: Final = 50
DAY: Final = 24 * 3600.0


@dataclass(slots=True)
class Version:
    created: float
    binary: bool  # its value was given as SecretBinary
    stages: list[str] = field(default_factory=list)
    accessed: float | None = None  # the day
    kms_key: str = ""  # the ARN of the key of KMS that its value is sealed under; the place's own where empty


@dataclass(slots=True)
class Secret:
    name: str
    arn: str
    created: float
    changed: float
    description: str = ""
    accessed: float | None = None  # the day
    deleted: float | None = None  # when it was asked for
    gone: float | None = None  # when it will be
    tags: dict[str, str] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    kms_key: str = ""  # of KMS, as it was named, for new values; the place's own where empty

    @classmethod
    def of(cls, document: dict[str, Any]) -> Secret:
        versions = {key: Version(**each) for key, each in document["versions"].items()}
        return cls(**{**document, "versions": versions})

    @property
    def document(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def uid(self) -> str:
        """Tells it from a later one of the same name."""
        return self.arn.rpartition("-")[2]

    def staged(self, stage: str) -> str | None:
        """The version that has it."""
        return next((key for key, each in self.versions.items() if stage in each.stages), None)

    def add(self, identifier: str, version: Version, stages: Sequence[str]) -> None:
        """A new version with these stages; the oldest deprecated ones are dropped for it. Raises ServiceError."""
        if not self.versions and CURRENT not in stages:
            stages = [*stages, CURRENT]
        self.versions[identifier] = version
        for stage in stages:
            self.move(stage, identifier)
        deprecated = sorted((each.created, key) for key, each in self.versions.items() if not each.stages)
        for _, key in deprecated[: max(0, len(deprecated) - MOST_DEPRECATED)]:
            del self.versions[key]

    def move(self, stage: str, to: str | None) -> None:
        """``to`` None takes the stage away. Raises ServiceError."""
        before = self.staged(stage)
        if before == to:
            return
        if to is not None and len(self.versions[to].stages) >= MOST_STAGES:
            raise too_many(f"A version can have at most {MOST_STAGES} staging labels.")
        if before is not None:
            self.versions[before].stages.remove(stage)
            if stage == CURRENT:
                self.move(PREVIOUS, before)
        if to is not None:
            self.versions[to].stages.append(stage)

    def tag(self, tags: Sequence[dict[str, str]]) -> None:
        """Raises ServiceError."""
        for each in tags:
            if each.get("Key", "").startswith("aws:"):
                raise invalid_parameter("Tag keys that begin with aws: are reserved.")
        merged = self.tags | {each.get("Key", ""): each.get("Value", "") for each in tags}
        if len(merged) > MOST_TAGS:
            raise too_many(f"A secret can have at most {MOST_TAGS} tags.")
        self.tags = merged

    def check_there(self) -> None:
        """Raises ServiceError where it is to be deleted."""
        if self.deleted is not None:
            raise invalid_request("You can't perform this operation on the secret because it was marked for deletion.")


def value_of(binary: bytes | None, text: str | None) -> tuple[bytes, bool] | None:
    """A version's value and whether it is binary; None where none was given. Raises ServiceError."""
    if binary is not None and text is not None:
        raise invalid_parameter("You can't specify both a binary secret value and a string secret value.")
    if text is not None:
        return text.encode(), False
    return None if binary is None else (binary, True)
