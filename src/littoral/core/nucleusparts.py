"""aws.greengrass.Nucleus as it is deployed: ``mqtt`` is the link's and the spool's, ``platformOverride`` says what else
this device is, ``runWithDefault`` how programs run of which a deployment says nothing, the rest is telemetry's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from littoral.core import mqttsettings
from littoral.core.nucleus.limits import limits_of
from littoral.core.recipe import BadComponent
from littoral.core.telemetry import configuration as telemetry

if TYPE_CHECKING:
    from littoral.core.public import Played

NAME = telemetry.NAME
MQTT, PLATFORM, FLEET = "mqtt", "platformOverride", "fleetStatus"
INTERPOLATE = "interpolateComponentConfiguration"
RUN_WITH, SHELLS = "runWithDefault", ("sh", "/bin/sh")
OWN = (MQTT, PLATFORM, FLEET, INTERPOLATE, RUN_WITH)  # what is not telemetry's
INTERVAL, DAY = "periodicStatusPublishIntervalSeconds", 86_400.0


def check(configuration: Mapping[str, Any]) -> None:
    """Raises BadComponent."""
    mqtt, rest = parted(configuration)
    mqttsettings.settings_of(mqtt)
    telemetry.settings_of(rest)
    platform_override(configuration)
    interpolates(configuration)
    run_with_default(configuration)
    every(configuration.get(FLEET))


def every(fleet: Any) -> float:
    """Seconds between two messages that tell how all fare: a day, as with AWS, or more. Raises BadComponent."""
    if fleet is None:
        return DAY
    if not isinstance(fleet, Mapping) or fleet.keys() - {INTERVAL}:
        raise BadComponent(f"{NAME}: {FLEET} has {INTERVAL}, and nothing else")
    seconds = fleet.get(INTERVAL, DAY)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < 10**9:
        raise BadComponent(f"{NAME}: {FLEET}.{INTERVAL} must be a number of seconds, and more than 0")
    return max(DAY, float(seconds))


def interpolates(configuration: Mapping[str, Any]) -> bool:
    """Whether recipe variables are filled in in components' configurations, too. Raises BadComponent."""
    found = str(configuration.get(INTERPOLATE, False)).lower()
    if found not in ("true", "false"):
        raise BadComponent(f"{NAME}: {INTERPOLATE} must be true or false")
    return found == "true"


def platform_override(configuration: Mapping[str, Any]) -> dict[str, str]:
    """Attributes by name. Raises BadComponent."""
    found = configuration.get(PLATFORM) or {}
    if not isinstance(found, Mapping) or not all(isinstance(each, str) for each in found.values()):
        raise BadComponent(f"{NAME}: {PLATFORM} must be texts by name")
    return dict(found)


def run_with_default(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """``posixUser`` and ``systemResourceLimits``, for each program whose deployment does not say otherwise. Raises
    BadComponent."""
    found = configuration.get(RUN_WITH) or {}
    if not isinstance(found, Mapping):
        raise BadComponent(f"{NAME}: {RUN_WITH} must be an object")
    if (shell := found.get("posixShell", SHELLS[0])) not in SHELLS:
        raise BadComponent(f"{NAME}: {RUN_WITH}.posixShell is sh, for that runs the steps of components, not {shell!r}")
    user = found.get("posixUser")
    if user is not None and not isinstance(user, str):
        raise BadComponent(f"{NAME}: {RUN_WITH}.posixUser must be a text")
    given = {name: value for name, value in found.items() if value is not None and name != "posixShell"}
    limits_of(NAME, given)
    given.pop("windowsUser", None)  # of other devices
    return given


def parted(configuration: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    mqtt = {MQTT: configuration[MQTT]} if MQTT in configuration else {}
    return mqtt, {name: value for name, value in configuration.items() if name not in OWN}


class NucleusParts:
    def __init__(self, mqtt: Played, telemetry: Played, fleet: Played) -> None:
        self._mqtt = mqtt
        self._telemetry = telemetry
        self._fleet = fleet

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        mqtt, rest = (None, None) if configuration is None else parted(configuration)
        await self._mqtt.play(mqtt)
        await self._telemetry.play(rest)
        await self._fleet.play(configuration)

    async def close(self) -> None:
        await self._mqtt.close()
        await self._telemetry.close()
        await self._fleet.close()
