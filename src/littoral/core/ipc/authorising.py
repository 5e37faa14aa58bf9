"""Whether the component that calls may do what it asks for."""

from __future__ import annotations

from littoral.core.ipc.access import allowed
from littoral.core.ipc.calls import Call, Fault
from littoral.core.ipc.ports import Components


def authorise(components: Components, call: Call, service: str, resource: str, *, topic: bool = False) -> None:
    """By the caller's own ``accessControl``. Raises Fault, in the words of AWS's nucleus."""
    configuration = components.configuration(call.component)
    given = configuration.value.get("accessControl") if configuration is not None else None
    access = components.filled(call.component, given)
    if not allowed(access, service, f"aws.greengrass#{call.operation}", resource, topic=topic):
        action = f"{service}:aws.greengrass#{call.operation}"
        message = f"Principal {call.component} is not authorized to perform {action} on resource {resource}"
        raise Fault("UnauthorizedError", message)
