"""Continuous deployment: which share of a distribution's requests its staging distribution answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from littoral.edge.plan.document import Document, items


@dataclass(frozen=True, slots=True)
class Deployment:
    """By a header or by weight. ``idle`` and ``most`` are seconds that a viewer's session lasts, 0 without sessions."""

    staging: str  # domain of the staging distribution
    header: tuple[bytes, bytes] | None = None
    weight: float = 0.0
    idle: int = 0
    most: int = 0


def deployment_of(config: Document, policies: Mapping[str, Document]) -> Deployment | None:
    """None where there is no policy, and where it is not enabled."""
    policy = policies.get(config.get("ContinuousDeploymentPolicyId") or "")
    if policy is None or not policy["Enabled"]:
        return None
    (staging,) = items(policy, "StagingDistributionDnsNames")
    traffic = policy["TrafficConfig"]
    if traffic["Type"] == "SingleHeader":
        header = traffic["SingleHeaderConfig"]
        return Deployment(staging.lower(), (header["Header"].lower().encode(), header["Value"].encode()))
    weight = traffic["SingleWeightConfig"]
    sticky = weight.get("SessionStickinessConfig") or {}
    return Deployment(
        staging.lower(),
        weight=float(weight["Weight"]),
        idle=int(sticky.get("IdleTTL", 0)),
        most=int(sticky.get("MaximumTTL", 0)),
    )
