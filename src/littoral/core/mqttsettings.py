"""The ``mqtt`` settings of the public component ``aws.greengrass.Nucleus``: the link upward and its spool.

Configuration, as AWS documents it. What is left out is as below: it differs from AWS's, for a core must notice a dead
path in seconds and lose nothing that a device was acknowledged for::

    {"mqtt": {"keepAliveTimeoutMs": 2000,      a ping after so much silence (AWS: 60000)
              "pingTimeoutMs": 3000,           and given up without its answer (AWS: 30000)
              "maxInFlightPublishes": 1000,    sent and not acknowledged; the place above may allow fewer (AWS: 5)
              "spooler": {"storageType": "Disk",              (AWS: Memory)
                          "maxSizeInBytes": 4294967296,       of payloads (AWS: 2621440)
                          "keepQos0WhenOffline": true,        (AWS: false)
                          "whenFull": "refuse"}}}             ours; AWS's is "dropOldest"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from littoral.core.link import Link
from littoral.core.recipe import BadComponent
from littoral.core.session import Timing
from littoral.core.spool import Spool, SpoolLimits

NAME: Final = "aws.greengrass.Nucleus"
FULL: Final = {"refuse": "new", "dropOldest": "old"}
SPOOLER: Final = ("storageType", "maxSizeInBytes", "keepQos0WhenOffline", "whenFull")
MQTT: Final = ("keepAliveTimeoutMs", "pingTimeoutMs", "maxInFlightPublishes", "spooler")


@dataclass(frozen=True, slots=True)
class MqttSettings:
    limits: SpoolLimits
    keep_qos0: bool
    window: int
    timing: Timing


def settings_of(configuration: Mapping[str, Any]) -> MqttSettings:
    """Raises BadComponent."""
    mqtt = _members("mqtt", _members("the configuration", configuration, ("mqtt",)).get("mqtt", {}), MQTT)
    spooler = _members("mqtt.spooler", mqtt.get("spooler", {}), SPOOLER)
    if spooler.get("storageType", "Disk") != "Disk":
        raise BadComponent(f"{NAME}: mqtt.spooler.storageType must be Disk: what is spooled here is durable")
    full = spooler.get("whenFull", "refuse")
    if full not in FULL:
        raise BadComponent(f"{NAME}: mqtt.spooler.whenFull must be one of {', '.join(FULL)}")
    keep = spooler.get("keepQos0WhenOffline", True)
    if not isinstance(keep, bool):
        raise BadComponent(f"{NAME}: mqtt.spooler.keepQos0WhenOffline must be true or false")
    size = _number("mqtt.spooler.maxSizeInBytes", spooler.get("maxSizeInBytes", SpoolLimits().max_bytes), 1, 2**53)
    ping = _number("mqtt.keepAliveTimeoutMs", mqtt.get("keepAliveTimeoutMs", 2000), 1000, 65_535_000) / 1000
    patience = _number("mqtt.pingTimeoutMs", mqtt.get("pingTimeoutMs", 3000), 500, 600_000) / 1000
    window = _number("mqtt.maxInFlightPublishes", mqtt.get("maxInFlightPublishes", 1000), 1, 65_000)
    limits = SpoolLimits(max_bytes=size, discard="new" if full == "refuse" else "old")
    return MqttSettings(limits, keep, window, Timing(ping_every=ping, dead_after=ping + patience))


class MqttNucleus:
    """Plays them: ``public.Played``. Without the component the core is as it was opened."""

    def __init__(self, spool: Spool, link: Link) -> None:
        self._spool = spool
        self._link = link
        self._plain = MqttSettings(spool.limits, spool.keep_qos0, link.window, link.timing)

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        wanted = self._plain if configuration is None else settings_of(configuration)
        await self._spool.limit(wanted.limits, keep_qos0=wanted.keep_qos0)
        self._link.tune(wanted.window, wanted.timing)

    async def close(self) -> None:
        """What is kept stays in the spool."""


def _members(what: str, value: Any, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadComponent(f"{NAME}: {what} must be an object")
    unknown = set(value) - set(known)
    if unknown:
        raise BadComponent(f"{NAME}: {', '.join(sorted(unknown))} of {what} is not served by Littoral")
    return value


def _number(what: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadComponent(f"{NAME}: {what} must be a whole number from {least} to {most}")
    return value
