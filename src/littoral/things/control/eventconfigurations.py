"""Which events the place publishes about itself. What they say is in ``registry/events`` and ``jobs/events``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.things.control.base import Noun
from littoral.things.events import KINDS, SETTING, Events


class EventConfigurations(Noun):
    """``events`` is set when the API is composed."""

    events: Events

    @operation(notes="CERTIFICATE and CA_CERTIFICATE are kept; presence and first connections are always told")
    async def update_event_configurations(
        self, call: Call, *, event_configurations: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Output:
        asked = {kind: bool(one.get("Enabled")) for kind, one in (event_configurations or {}).items()}
        async with self.registry.changing:
            kept = await self.registry.settings.get(SETTING) or {"created": call.now, "enabled": {}}
            changed = {**kept, "enabled": {**kept["enabled"], **asked}, "modified": call.now}
            await self.registry.settings.put(SETTING, changed)
        self.events.enabled = changed["enabled"]
        return {}

    @operation()
    async def describe_event_configurations(self, call: Call) -> Output:
        kept = await self.registry.settings.get(SETTING)
        enabled = {} if kept is None else kept["enabled"]
        shown: Output = {"eventConfigurations": {kind: {"Enabled": enabled.get(kind, False)} for kind in KINDS}}
        if kept is not None:
            shown.update({"creationDate": kept["created"], "lastModifiedDate": kept["modified"]})
        return shown
