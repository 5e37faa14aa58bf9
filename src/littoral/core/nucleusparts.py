"""aws.greengrass.Nucleus as it is deployed: ``mqtt`` is the link's and the spool's, the rest telemetry's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from littoral.core import mqttsettings
from littoral.core.telemetry import configuration as telemetry

if TYPE_CHECKING:
    from littoral.core.public import Played

MQTT = "mqtt"


def check(configuration: Mapping[str, Any]) -> None:
    """Raises BadComponent."""
    mqtt, rest = parted(configuration)
    mqttsettings.settings_of(mqtt)
    telemetry.settings_of(rest)


def parted(configuration: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    mqtt = {MQTT: configuration[MQTT]} if MQTT in configuration else {}
    return mqtt, {name: value for name, value in configuration.items() if name != MQTT}


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
