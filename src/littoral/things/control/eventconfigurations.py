"""Which events the place publishes about itself. Those of jobs can be turned on; registry events are not here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.things.control.jobs import JobNoun
from littoral.things.jobs.events import EXECUTION, JOB, SETTING

KINDS: Final = (
    *("THING", "THING_GROUP", "THING_TYPE", "THING_GROUP_MEMBERSHIP", "THING_GROUP_HIERARCHY"),
    *("THING_TYPE_ASSOCIATION", JOB, EXECUTION, "POLICY", "CERTIFICATE", "CA_CERTIFICATE"),
)


class EventConfigurations(JobNoun):
    @operation(notes="JOB and JOB_EXECUTION; turning another kind on is refused")
    async def update_event_configurations(
        self, call: Call, *, event_configurations: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Output:
        asked = {kind: bool(one.get("Enabled")) for kind, one in (event_configurations or {}).items()}
        for kind, on in asked.items():
            if on and kind not in (JOB, EXECUTION):
                raise ServiceError("NotImplemented", f"Events of the kind {kind} are not implemented here.", status=501)
        async with self.registry.changing:
            kept = await self.registry.settings.get(SETTING) or {"created": call.now, "enabled": {}}
            changed = {**kept, "enabled": {**kept["enabled"], **asked}, "modified": call.now}
            await self.registry.settings.put(SETTING, changed)
        self.jobs.events.enabled = changed["enabled"]
        return {}

    @operation()
    async def describe_event_configurations(self, call: Call) -> Output:
        kept = await self.registry.settings.get(SETTING)
        enabled = {} if kept is None else kept["enabled"]
        shown: Output = {"eventConfigurations": {kind: {"Enabled": enabled.get(kind, False)} for kind in KINDS}}
        if kept is not None:
            shown.update({"creationDate": kept["created"], "lastModifiedDate": kept["modified"]})
        return shown
