"""What the place knows, for the external functions of rules: shadows and the registry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from littoral.aws.service import Call, Principal, ServiceError
from littoral.net.message import BytesBody, Headers, Peer, Request
from littoral.protocols.iotsql.values import UNDEFINED
from littoral.things.control import Iot
from littoral.things.names import Names
from littoral.things.shadows import Shadows


class Answers:
    """A shadow or a thing that is not there is Undefined."""

    def __init__(self, iot: Iot, shadows: Shadows, names: Names, clock: Callable[[], float]) -> None:
        self._iot = iot
        self._shadows = shadows
        self._names = names
        self._clock = clock

    def table(self) -> Mapping[str, Callable[..., Awaitable[Any]]]:
        return {"get_thing_shadow": self.get_thing_shadow, "get_registry_data": self.get_registry_data}

    async def get_thing_shadow(self, thing: str, shadow: str = "") -> Any:
        found = await self._shadows.get(thing, shadow)
        return UNDEFINED if found is None else found

    async def get_registry_data(self, api: str, thing: str) -> Any:
        asked = {
            "DescribeThing": self._iot.describe_thing,
            "ListThingGroupsForThing": self._iot.list_thing_groups_for_thing,
        }
        try:
            return await asked[api](self._call(api), thing_name=thing)
        except ServiceError as error:
            if error.code == "ResourceNotFoundException":
                return UNDEFINED
            raise

    def _call(self, api: str) -> Call:
        """As the account itself would call."""
        request = Request("GET", "/", Headers(), BytesBody(b""), Peer("", 0))
        region, account = self._names.region, self._names.account
        return Call("iot", api, region, account, Principal("key", ""), "", request, self._clock())
