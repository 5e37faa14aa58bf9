"""AWS's public components that a core plays by itself (and a model server of Littoral's own): a deployment names them
and configures them as it does with AWS.

``Public`` is what both ends know of one (pure): the region checks a deployment by it, the core fills in what the
deployment leaves out. ``Played`` is what the core does with it. A version is taken as the deployment asks for it, since
what runs is the core's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from littoral.core import mqttsettings, nucleusparts, secretmanager, tes
from littoral.core.bridge import BRIDGE, mappings
from littoral.core.clientdevices import detector, groups
from littoral.core.clientdevices import settings as clientdevices
from littoral.core.configuration import Configuration
from littoral.core.lambdamanager import subscriptions
from littoral.core.logmanager import configuration as logmanager
from littoral.core.modelserver import settings as modelserver
from littoral.core.recipe import BadComponent, parse_merge
from littoral.core.shadowmanager import settings as shadowmanager
from littoral.core.streammanager import component as streammanager


@dataclass(frozen=True, slots=True)
class Public:
    """``check`` takes the whole configuration and raises BadComponent for what is not served; what it returns is not
    looked at. ``defaults`` are AWS's, where ours do not differ for a reason that the docs give."""

    name: str
    check: Callable[[Mapping[str, Any]], object]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def configured(self, merge: str | None) -> Mapping[str, Any]:
        """The whole configuration that a deployment's ``merge`` comes to, checked. Raises BadComponent."""
        made = Configuration(self.defaults)
        made.merge(parse_merge(merge), 1.0)
        self.check(made.value)
        return made.value


class Played(Protocol):
    """One public component on the core."""

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        """Do as the (checked) configuration says; None ends it, and the same again changes nothing. Told at the start
        of the core, and in a deployment before its programs start. Raises BadComponent where it cannot be done."""

    async def close(self) -> None:
        """The core ends; what is kept stays."""


def nothing_to_say(name: str, why: str) -> Callable[[Mapping[str, Any]], None]:
    """The check of a component that has no configuration here."""

    def check(configuration: Mapping[str, Any]) -> None:
        if configuration:
            raise BadComponent(f"{name} has no configuration on Littoral's cores: {why}")

    return check


BROKERS = ("aws.greengrass.clientdevices.mqtt.Moquette", "aws.greengrass.clientdevices.mqtt.EMQX")
"""What they do the core's broker does, deployed or not."""

CLI = "aws.greengrass.Cli"
"""Components that deploy depend on it; what it does is the core's own (``ipc/deploying.py``, ``operator.py``)."""

SPOOLER = "aws.greengrass.DiskSpooler"
"""With AWS it makes the spool durable; ours always is."""

LAMBDA = tuple(f"aws.greengrass.Lambda{each}" for each in ("Manager", "Launcher", "Runtimes"))
"""With AWS they run functions, and deployments may name them; here the core does."""

PUBLIC: Mapping[str, Public] = {
    each.name: each
    for each in (
        Public(BRIDGE, mappings),
        Public(logmanager.NAME, logmanager.settings_of),
        Public(secretmanager.NAME, secretmanager.settings_of),
        Public(mqttsettings.NAME, nucleusparts.check),
        Public(streammanager.NAME, streammanager.settings_of, streammanager.DEFAULTS),
        Public(tes.NAME, tes.check),
        Public(groups.NAME, clientdevices.settings_of),
        Public(detector.NAME, detector.settings_of),
        *(Public(name, nothing_to_say(name, "the broker is the core's own")) for name in BROKERS),
        Public(SPOOLER, nothing_to_say(SPOOLER, "its size is that of mqtt.spooler of aws.greengrass.Nucleus")),
        *(Public(name, nothing_to_say(name, "the core runs functions itself")) for name in LAMBDA),
        Public(CLI, nothing_to_say(CLI, "the core's own user, and components by their policy, may deploy")),
        Public(subscriptions.NAME, subscriptions.subscriptions),
        Public(shadowmanager.NAME, shadowmanager.settings_of),
        Public(modelserver.NAME, modelserver.models_of),
    )
}
"""The bridge is not ``Played``: it is connected last, with the functions' topics (``routes``)."""
