"""Reading, changing and watching configuration. A component changes its own only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from littoral.core.configuration import Configuration, NoSuchKey, Outdated, Path
from littoral.core.ipc.calls import Call, Document, Fault, Handler, invalid, not_found
from littoral.core.ipc.ports import Components
from littoral.store.contract import StoreError


class Configuring:
    def __init__(self, components: Components, clock: Callable[[], float] = time.time) -> None:
        self._components = components
        self._clock = clock

    def operations(self) -> Mapping[str, Handler]:
        return {
            "GetConfiguration": self.get_configuration,
            "UpdateConfiguration": self.update_configuration,
            "SubscribeToConfigurationUpdate": self.subscribe_to_configuration_update,
        }

    def get_configuration(self, call: Call) -> Document:
        name = call.optional_text("componentName") or call.component
        path = call.path("keyPath")
        try:
            found = self._of(name).get(path)
        except NoSuchKey as missing:
            raise not_found("key", "/".join(path)) from missing
        if path and not isinstance(found, dict):
            found = {path[-1]: found}
        return {"componentName": name, "value": self._components.filled(name, found)}

    async def update_configuration(self, call: Call) -> Document:
        path, value = call.path("keyPath"), call.document.get("valueToMerge")
        at = call.document.get("timestamp", self._clock())
        if not isinstance(value, dict) or isinstance(at, bool) or not isinstance(at, (int, float)):
            raise invalid("valueToMerge must be an object, timestamp a number of seconds")
        if "accessControl" in (path[:1] or value):
            raise invalid("a component cannot change its accessControl")
        try:
            self._of(call.component).update(path, value, at)
            await self._components.save(call.component)
        except Outdated as problem:
            raise Fault("ConflictError", str(problem)) from problem
        except StoreError as problem:
            raise Fault("ServiceError", f"the configuration cannot be kept: {problem}") from problem
        return {}

    def subscribe_to_configuration_update(self, call: Call) -> Document:
        name = call.optional_text("componentName") or call.component

        def changed(path: Path) -> None:
            event = {"componentName": name, "keyPath": list(path)}
            call.send("ConfigurationUpdateEvents", {"configurationUpdateEvent": event})

        call.ended.append(self._of(name).watch(call.path("keyPath"), changed))
        return {}

    def _of(self, name: str) -> Configuration:
        found = self._components.configuration(name)
        if found is None:
            raise not_found("component", name)
        return found
