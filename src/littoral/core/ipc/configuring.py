"""Reading, changing and watching configuration; components' states. A component changes its own configuration only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from littoral.core.configuration import Configuration, NoSuchKey, Outdated, Path
from littoral.core.ipc.authorising import authorise
from littoral.core.ipc.calls import Call, Document, Fault, Handler, invalid, not_found
from littoral.core.ipc.ports import Components, Details
from littoral.core.public import CLI
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
            "UpdateState": self.update_state,
            "ListComponents": self.list_components,
            "GetComponentDetails": self.get_component_details,
            "RestartComponent": self.restart_component,
            "StopComponent": self.stop_component,
        }

    # ------------------------------------------------------------------------------------------------ configuration

    def get_configuration(self, call: Call) -> Document:
        name = call.optional_text("componentName") or call.component
        path = call.path("keyPath")
        try:
            found = self._of(name).get(path)
        except NoSuchKey as missing:
            raise not_found("key", "/".join(path)) from missing
        if path and not isinstance(found, dict):
            found = {path[-1]: found}
        return {"componentName": name, "value": found}

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

    # ------------------------------------------------------------------------------------------------ states

    def update_state(self, call: Call) -> Document:
        state = call.text("state")
        if state not in ("RUNNING", "ERRORED"):
            raise invalid("state must be RUNNING or ERRORED")
        self._components.report(call.component, state)
        return {}

    def list_components(self, call: Call) -> Document:
        self._authorise(call, "*")
        return {"components": [self._shown(each) for each in self._components.listed()]}

    def get_component_details(self, call: Call) -> Document:
        return {"componentDetails": self._shown(self._detailed(self._named(call)))}

    async def restart_component(self, call: Call) -> Document:
        await self._components.restart(self._named(call))
        return {"restartStatus": "SUCCEEDED"}

    async def stop_component(self, call: Call) -> Document:
        await self._components.stop(self._named(call))
        return {"stopStatus": "SUCCEEDED"}

    def _named(self, call: Call) -> str:
        """The component that the call is about. Raises Fault."""
        name = call.text("componentName")
        self._authorise(call, name)
        return self._detailed(name).name

    def _detailed(self, name: str) -> Details:
        for each in self._components.listed():
            if each.name == name:
                return each
        raise not_found("component", name)

    def _shown(self, each: Details) -> Document:
        configuration = self._components.configuration(each.name)
        shown = {"componentName": each.name, "version": each.version, "state": each.state}
        return {**shown, "configuration": dict(configuration.value) if configuration is not None else {}}

    def _authorise(self, call: Call, resource: str) -> None:
        authorise(self._components, call, CLI, resource)
