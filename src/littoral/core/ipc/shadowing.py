"""Shadows that the core keeps: with the cable out, too. Source: "IPC: Interact with local shadows"."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from littoral.core.ipc.authorising import authorise
from littoral.core.ipc.calls import Call, Document, Fault, Handler, invalid, not_found
from littoral.core.ipc.ports import Components, LocalShadows
from littoral.protocols.shadow import ShadowError
from littoral.store.contract import StoreError

SERVICE = "aws.greengrass.ShadowManager"
MOST = 100  # names in one answer


class Shadowing:
    """``admits`` says whether a component may ask for a shadow of that thing now, or asks too often."""

    def __init__(
        self,
        components: Components,
        shadows: LocalShadows,
        admits: Callable[[str], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._components = components
        self._shadows = shadows
        self._admits = admits
        self._clock = clock

    def operations(self) -> Mapping[str, Handler]:
        return {
            "GetThingShadow": self.get_thing_shadow,
            "UpdateThingShadow": self.update_thing_shadow,
            "DeleteThingShadow": self.delete_thing_shadow,
            "ListNamedShadowsForThing": self.list_named_shadows_for_thing,
        }

    async def get_thing_shadow(self, call: Call) -> Document:
        thing, name = self._shadow(call)
        return await _payload(self._shadows.get_with(thing, name), thing)

    async def update_thing_shadow(self, call: Call) -> Document:
        thing, name = self._shadow(call)
        return await _payload(self._shadows.update_with(thing, name, call.blob("payload")), thing)

    async def delete_thing_shadow(self, call: Call) -> Document:
        thing, name = self._shadow(call)
        return await _payload(self._shadows.delete_with(thing, name), thing)

    async def list_named_shadows_for_thing(self, call: Call) -> Document:
        thing = call.text("thingName")
        authorise(self._components, call, SERVICE, thing)
        self._admit(thing)
        size = call.document.get("pageSize", 25)
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MOST:
            raise invalid(f"pageSize must be from 1 to {MOST}")
        found = list(await self._shadows.names(thing, call.optional_text("nextToken") or "", size))
        more = {"nextToken": found[size - 1]} if len(found) > size else {}
        return {"results": found[:size], "timestamp": self._clock(), **more}

    def _shadow(self, call: Call) -> tuple[str, str]:
        """Thing and name of the shadow, "" for the classic one. Raises Fault."""
        thing, name = call.text("thingName"), call.optional_text("shadowName") or ""
        resource = f"$aws/things/{thing}/shadow" + (f"/name/{name}" if name else "")
        authorise(self._components, call, SERVICE, resource)
        self._admit(thing)
        return thing, name

    def _admit(self, thing: str) -> None:
        """Raises Fault."""
        if not self._admits(thing):
            raise Fault("ServiceError", "Too Many Requests")


async def _payload(asked: Awaitable[Mapping[str, Any]], thing: str) -> Document:
    """Raises Fault."""
    try:
        document = await asked
    except ShadowError as refused:
        if refused.code == 404:
            raise not_found("shadow", thing) from refused
        known = {409: "ConflictError"} if refused.code < 500 else {refused.code: "ServiceError"}
        raise Fault(known.get(refused.code, "InvalidArgumentsError"), refused.message) from refused
    except StoreError as problem:
        raise Fault("ServiceError", f"the shadow cannot be kept: {problem}") from problem
    return {"payload": base64.b64encode(json.dumps(document).encode()).decode()}
