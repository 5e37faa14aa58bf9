"""Provisioning templates as they are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from littoral.things.versions import Versioned

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProvisioningTemplate(Versioned):
    TEXT = "body"

    role: str  # provisioningRoleArn
    description: str = ""
    enabled: bool = False
    kind: str = "FLEET_PROVISIONING"
    hook: Json = field(default_factory=dict)  # preProvisioningHook
