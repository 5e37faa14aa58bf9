"""What a deployment configures of aws.greengrass.Nucleus. Pure. Source: "Greengrass nucleus" in the V2 guide.

AWS's aggregates hourly and publishes daily; a Littoral core publishes hourly too, for nobody pays by the message here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from littoral.core.recipe import BadComponent

NAME: Final = "aws.greengrass.Nucleus"
HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are seconds; ``alias`` None is the core's own setting."""

    enabled: bool = True
    aggregate: float = HOUR
    publish: float = HOUR
    alias: str | None = None


def settings_of(configuration: Mapping[str, Any]) -> Settings:
    """Raises BadComponent, also for what AWS's has and this one has not."""
    _only(configuration, {"telemetry", "iotRoleAlias"}, NAME)
    alias = configuration.get("iotRoleAlias")
    if alias is not None and (not isinstance(alias, str) or not alias):
        raise BadComponent(f"{NAME}: iotRoleAlias must be the name of a role alias")
    telemetry = configuration.get("telemetry", {})
    if not isinstance(telemetry, Mapping):
        raise BadComponent(f"{NAME}: telemetry must be an object")
    every, published = "periodicAggregateMetricsIntervalSeconds", "periodicPublishMetricsIntervalSeconds"
    _only(telemetry, {"enabled", every, published}, f"{NAME}: telemetry")
    enabled = str(telemetry.get("enabled", "true")).lower()
    if enabled not in ("true", "false"):
        raise BadComponent(f"{NAME}: telemetry.enabled must be true or false")
    return Settings(enabled == "true", _seconds(telemetry, every), _seconds(telemetry, published), alias)


def _only(given: Mapping[str, Any], known: set[str], of: str) -> None:
    if unknown := sorted(given.keys() - known):
        raise BadComponent(f"{of}: {', '.join(unknown)} is not served by Littoral's cores")


def _seconds(given: Mapping[str, Any], member: str) -> float:
    try:
        found = float(given.get(member, HOUR))
    except (TypeError, ValueError):
        found = 0.0
    if not 0 < found < 10**9:
        raise BadComponent(f"{NAME}: {member} must be a number of seconds, and more than 0")
    return found
