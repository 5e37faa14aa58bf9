"""Shadows that the core keeps: with the cable out, too. Source: "IPC: Interact with local shadows"."""

from __future__ import annotations

import base64
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from littoral.core.ipc.authorising import authorise
from littoral.core.ipc.calls import Call, Document, Fault, Handler, invalid, not_found
from littoral.core.ipc.ports import Components, LocalShadows
from littoral.protocols.shadow import ShadowError
from littoral.store.contract import StoreError

log = logging.getLogger(__name__)

SERVICE: Final = "aws.greengrass.ShadowManager"
MOST: Final = 100  # names in one answer
LONGEST_THING, LONGEST_SHADOW = 128, 64
_NAMES: Final = re.compile(r"[$a-zA-Z0-9:_-]*")

Asked = Callable[[str, str], Awaitable[Mapping[str, Any]]]
"""Thing and name of the shadow, "" for the classic one. Raises ShadowError, StoreError."""


class Shadowing:
    """``admits`` says whether a component may ask for a shadow of that thing now, or asks too often. What comes of a
    request is told on the shadow's topics, too, as if it had come by MQTT."""

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
        async def got(thing: str, name: str) -> Mapping[str, Any]:
            document = await self._shadows.get_with(thing, name)
            await self._shadows.told(thing, name, "get/accepted", document)
            return document

        return _payload(await self._done(call, "get", got))

    async def update_thing_shadow(self, call: Call) -> Document:
        payload = call.blob("payload")
        if not payload:
            raise invalid("payload must be the JSON of a change")
        asked = partial(self._shadows.update_with, payload=payload)
        return _payload(await self._done(call, "update", asked))

    async def delete_thing_shadow(self, call: Call) -> Document:
        """The payload of the answer is empty, as AWS's is."""
        await self._done(call, "delete", self._shadows.delete_with)
        return {"payload": ""}

    async def list_named_shadows_for_thing(self, call: Call) -> Document:
        thing = _name(call.text("thingName"), "thingName", LONGEST_THING)
        self._admit(thing)
        authorise(self._components, call, SERVICE, thing)
        size = call.document.get("pageSize", 25)
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MOST:
            raise invalid(f"pageSize must be from 1 to {MOST}")
        found = list(await self._shadows.names(thing, call.optional_text("nextToken") or "", size))
        more = {"nextToken": found[size - 1]} if len(found) > size else {}
        return {"results": found[:size], "timestamp": self._clock(), **more}

    async def _done(self, call: Call, verb: str, asked: Asked) -> Mapping[str, Any]:
        """Raises Fault."""
        thing = _name(call.text("thingName"), "thingName", LONGEST_THING)
        name = _name(call.optional_text("shadowName") or "", "shadowName", LONGEST_SHADOW)
        resource = f"$aws/things/{thing}/shadow" + (f"/name/{name}" if name else "")
        self._admit(thing)
        try:
            authorise(self._components, call, SERVICE, resource)
            return await asked(thing, name)
        except Fault:
            await self._refused(thing, name, verb, ShadowError(401, "Unauthorized"))
            raise
        except ShadowError as refused:
            await self._refused(thing, name, verb, refused)
            raise _fault(refused, thing) from refused
        except StoreError as problem:
            await self._refused(thing, name, verb, ShadowError(500, "Internal service failure"))
            raise Fault("ServiceError", f"the shadow cannot be kept: {problem}") from problem

    async def _refused(self, thing: str, name: str, verb: str, why: ShadowError) -> None:
        try:
            await self._shadows.told(thing, name, f"{verb}/rejected", why.document(int(self._clock())))
        except StoreError as problem:  # who asked is told anyway
            log.warning("that a shadow of %s is not changed cannot be told: %s", thing, problem)

    def _admit(self, thing: str) -> None:
        """Raises Fault."""
        if not self._admits(thing):
            raise Fault("ServiceError", "Too Many Requests")


def _name(given: str, member: str, longest: int) -> str:
    """Raises Fault."""
    if len(given) > longest or not _NAMES.fullmatch(given):
        raise invalid(f"{member} must be at most {longest} of a-z A-Z 0-9 : _ - $")
    return given


def _fault(refused: ShadowError, thing: str) -> Fault:
    if refused.code == 404:
        return not_found("shadow", thing)
    known = {409: "ConflictError"} if refused.code < 500 else {refused.code: "ServiceError"}
    return Fault(known.get(refused.code, "InvalidArgumentsError"), refused.message)


def _payload(document: Mapping[str, Any]) -> Document:
    return {"payload": base64.b64encode(json.dumps(document).encode()).decode()}
