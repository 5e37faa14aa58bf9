"""Provisioning templates as they are kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    id: int
    body: str
    created: float


@dataclass(frozen=True, slots=True)
class ProvisioningTemplate:
    name: str
    versions: tuple[TemplateVersion, ...]  # oldest first
    default_id: int
    role: str  # provisioningRoleArn
    created: float
    modified: float
    description: str = ""
    enabled: bool = False
    kind: str = "FLEET_PROVISIONING"
    hook: Json = field(default_factory=dict)  # preProvisioningHook
    next_id: int = 2  # version ids are never used again

    def version(self, version_id: int) -> TemplateVersion | None:
        return next((version for version in self.versions if version.id == version_id), None)

    @property
    def default(self) -> TemplateVersion:
        found = self.version(self.default_id)
        assert found is not None
        return found

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> ProvisioningTemplate:
        return cls(**{**found, "versions": tuple(TemplateVersion(**version) for version in found["versions"])})
