"""aws.greengrass.Nucleus as it is deployed: ``mqtt`` is the link's and the spool's, ``platformOverride`` says what else
this device is, the rest is telemetry's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from littoral.core import mqttsettings
from littoral.core.recipe import BadComponent
from littoral.core.telemetry import configuration as telemetry

if TYPE_CHECKING:
    from littoral.core.public import Played

NAME = telemetry.NAME
MQTT, PLATFORM = "mqtt", "platformOverride"


def check(configuration: Mapping[str, Any]) -> None:
    """Raises BadComponent."""
    mqtt, rest = parted(configuration)
    mqttsettings.settings_of(mqtt)
    telemetry.settings_of(rest)
    platform_override(configuration)


def platform_override(configuration: Mapping[str, Any]) -> dict[str, str]:
    """Attributes by name. Raises BadComponent."""
    found = configuration.get(PLATFORM) or {}
    if not isinstance(found, Mapping) or not all(isinstance(each, str) for each in found.values()):
        raise BadComponent(f"{NAME}: {PLATFORM} must be texts by name")
    return dict(found)


def parted(configuration: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    mqtt = {MQTT: configuration[MQTT]} if MQTT in configuration else {}
    return mqtt, {name: value for name, value in configuration.items() if name not in (MQTT, PLATFORM)}


class NucleusParts:
    def __init__(self, mqtt: Played, telemetry: Played) -> None:
        self._mqtt = mqtt
        self._telemetry = telemetry

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        mqtt, rest = (None, None) if configuration is None else parted(configuration)
        await self._mqtt.play(mqtt)
        await self._telemetry.play(rest)

    async def close(self) -> None:
        await self._mqtt.close()
        await self._telemetry.close()
