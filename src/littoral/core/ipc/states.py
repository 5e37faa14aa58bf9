"""Components' states: told by themselves, looked at and changed by who may.

Programs, functions and AWS's own components that the core plays are listed alike. Sources: "IPC: Manage local
deployments and components" and "IPC: Interact with component lifecycle" in the AWS IoT Greengrass V2 guide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from littoral.core.ipc.authorising import authorise
from littoral.core.ipc.calls import Call, Document, Fault, Handler, invalid, not_found
from littoral.core.ipc.ports import Components, Details
from littoral.core.public import CLI
from littoral.core.recipe import BadComponent

LIFECYCLE: Final = "aws.greengrass.ipc.lifecycle"


class Deployed(Protocol):
    """All components of the core. What cannot be done to one raises BadComponent."""

    def details(self) -> Sequence[Details]: ...

    async def restart(self, name: str) -> None: ...

    async def stop(self, name: str) -> None: ...

    def pause(self, name: str) -> None:
        """Its processes stand still."""

    def resume(self, name: str) -> None: ...


class States:
    def __init__(self, components: Components, deployed: Deployed) -> None:
        self._components = components
        self._deployed = deployed

    def operations(self) -> Mapping[str, Handler]:
        return {
            "UpdateState": self.update_state,
            "ListComponents": self.list_components,
            "GetComponentDetails": self.get_component_details,
            "RestartComponent": self.restart_component,
            "StopComponent": self.stop_component,
            "PauseComponent": self.pause_component,
            "ResumeComponent": self.resume_component,
            "ValidateAuthorizationToken": self.validate_authorization_token,
        }

    def update_state(self, call: Call) -> Document:
        state = call.text("state")
        if state not in ("RUNNING", "ERRORED"):
            raise invalid("state must be RUNNING or ERRORED")
        if not self._components.report(call.component, state):
            raise invalid(f"{call.component} is a function, whose state its core sees by itself")
        return {}

    def list_components(self, call: Call) -> Document:
        authorise(self._components, call, CLI, "*")
        return {"components": [self._shown(each) for each in self._deployed.details()]}

    def get_component_details(self, call: Call) -> Document:
        return {"componentDetails": self._shown(self._named(call, CLI))}

    async def restart_component(self, call: Call) -> Document:
        with _refused():
            await self._deployed.restart(self._named(call, CLI).name)
        return {"restartStatus": "SUCCEEDED"}

    async def stop_component(self, call: Call) -> Document:
        with _refused():
            await self._deployed.stop(self._named(call, CLI).name)
        return {"stopStatus": "SUCCEEDED"}

    def pause_component(self, call: Call) -> Document:
        with _refused():
            self._deployed.pause(self._named(call, LIFECYCLE).name)
        return {}

    def resume_component(self, call: Call) -> Document:
        with _refused():
            self._deployed.resume(self._named(call, LIFECYCLE).name)
        return {}

    def validate_authorization_token(self, call: Call) -> Document:
        """AWS's nucleus answers this to its own stream manager alone, which is the core's here."""
        message = f"{call.component} is not authorized to perform aws.greengrass#{call.operation}"
        raise Fault("UnauthorizedError", message)

    def _named(self, call: Call, service: str) -> Details:
        """The component that the call is about. Raises Fault."""
        name = call.text("componentName")
        authorise(self._components, call, service, name)
        for each in self._deployed.details():
            if each.name == name:
                return each
        raise not_found("component", name)

    def _shown(self, each: Details) -> Document:
        configuration = self._components.configuration(each.name)
        shown = {"componentName": each.name, "version": each.version, "state": each.state}
        whole = dict(configuration.value) if configuration is not None else {}
        return {**shown, "configuration": self._components.filled(each.name, whole)}


@contextmanager
def _refused() -> Iterator[None]:
    """What cannot be done to a component, as a Fault."""
    try:
        yield
    except BadComponent as problem:
        raise invalid(str(problem)) from problem
