"""Local deployments, made and looked at by components: the Greengrass CLI's service.

What a component has the core copy is copied with that component's rights, not the core's.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

from littoral.core.deploymenterrors import types_of
from littoral.core.ipc.authorising import authorise
from littoral.core.ipc.calls import Call, Document, Fault, Handler, invalid, not_found
from littoral.core.ipc.ports import Components
from littoral.core.local.brought import BadArtifacts, BadRecipes
from littoral.core.local.orders import LocalDeployment, LocalOrders, NoSuchDeployment
from littoral.core.public import CLI
from littoral.core.recipe import BadComponent
from littoral.store.contract import StoreError


class Deploying:
    """``copy`` copies a folder as that component may."""

    def __init__(
        self, components: Components, orders: LocalOrders, copy: Callable[[str, Path, Path], Awaitable[None]]
    ) -> None:
        self._components = components
        self._orders = orders
        self._copy = copy

    def operations(self) -> Mapping[str, Handler]:
        return {
            "CreateLocalDeployment": self.create_local_deployment,
            "CancelLocalDeployment": self.cancel_local_deployment,
            "GetLocalDeploymentStatus": self.get_local_deployment_status,
            "ListLocalDeployments": self.list_local_deployments,
            "CreateDebugPassword": self.create_debug_password,
        }

    async def create_local_deployment(self, call: Call) -> Document:
        authorise(self._components, call, CLI, "*")
        try:
            return {"deploymentId": await self._orders.create(call.document, partial(self._copy, call.component))}
        except BadRecipes as problem:
            raise Fault("InvalidRecipeDirectoryPathError", str(problem)) from problem
        except BadArtifacts as problem:
            raise Fault("InvalidArtifactsDirectoryPathError", str(problem)) from problem
        except BadComponent as problem:
            raise invalid(str(problem)) from problem
        except StoreError as problem:
            raise Fault("ServiceError", f"the deployment cannot be kept: {problem}") from problem

    async def cancel_local_deployment(self, call: Call) -> Document:
        identifier = self._named(call)
        try:
            await self._orders.cancel(identifier)
        except BadComponent as problem:
            raise invalid(str(problem)) from problem
        except StoreError as problem:
            raise Fault("ServiceError", f"that cannot be kept: {problem}") from problem
        return {"message": f"{identifier} is canceled"}

    def get_local_deployment_status(self, call: Call) -> Document:
        return {"deployment": _shown(self._orders.get(self._named(call)))}

    def list_local_deployments(self, call: Call) -> Document:
        authorise(self._components, call, CLI, "*")
        return {"localDeployments": [_shown(each) for each in self._orders.listed()]}

    def create_debug_password(self, call: Call) -> Document:
        """Of aws.greengrass.LocalDebugConsole, whose place the core's own page takes, which asks for none."""
        authorise(self._components, call, CLI, "*")
        raise Fault("ServiceError", "there is no local debug console here: the core's page needs no password")

    def _named(self, call: Call) -> str:
        """Raises Fault."""
        identifier = call.text("deploymentId")
        authorise(self._components, call, CLI, identifier)
        try:
            return self._orders.get(identifier).id
        except NoSuchDeployment as missing:
            raise not_found("local deployment", identifier) from missing


def _shown(each: LocalDeployment) -> Document:
    details = {
        "detailedDeploymentStatus": each.detail,
        "deploymentErrorStack": list(each.stack),
        "deploymentErrorTypes": list(types_of(each.stack)),
        "deploymentFailureCause": each.reason,
    }
    said = {name: value for name, value in details.items() if value}
    return {
        "deploymentId": each.id,
        "status": each.status,
        "createdOn": time.strftime("%m/%d/%Y %I:%M:%S", time.gmtime(each.created)),
        **({"deploymentStatusDetails": said} if said else {}),
    }
