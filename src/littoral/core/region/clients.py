"""Client devices and the cores that they may connect to: associations, addresses, and what discovery tells a device.

Discovery's answer is AWS's: "Greengrass discovery RESTful API" in the AWS IoT Greengrass V2 guide.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from littoral.aws.service import Call, Output, operation
from littoral.core.ports import Allows
from littoral.core.region.names import denied, invalid, listing, not_found, operators_only, page
from littoral.core.region.state import State, everything

MOST: Final = 100  # entries of a call, and addresses of a core
GROUP: Final = "greengrassV2-coreDevice-"


class ClientDevices:
    def __init__(self, state: State, allows: Allows, is_thing: Callable[[str], bool]) -> None:
        self._state = state
        self._allows = allows
        self._is_thing = is_thing

    # --------------------------------------------------------------------------------------------- associations

    @operation()
    async def batch_associate_client_device_with_core_device(
        self, call: Call, *, core_device_thing_name: str, entries: list[dict[str, Any]] | None = None
    ) -> Output:
        """Of things that there are; the core need not have told of itself yet."""
        named = _named(call, entries)
        if not self._is_thing(core_device_thing_name):
            raise not_found(core_device_thing_name, "coreDevice")
        missing = []
        for thing in named:
            key = f"{core_device_thing_name}/{thing}"
            if not self._is_thing(thing):
                missing.append(_failed(thing, f"{thing} is no thing"))
            elif await self._state.associations.get(key) is None:
                await self._state.associations.put(key, {"thingName": thing, "associationTimestamp": call.now})
        return {"errorEntries": missing}

    @operation()
    async def batch_disassociate_client_device_from_core_device(
        self, call: Call, *, core_device_thing_name: str, entries: list[dict[str, Any]] | None = None
    ) -> Output:
        missing = []
        for thing in _named(call, entries):
            if not await self._state.associations.delete(f"{core_device_thing_name}/{thing}"):
                missing.append(_failed(thing, f"{thing} is not associated with {core_device_thing_name}"))
        return {"errorEntries": missing}

    @operation()
    async def list_client_devices_associated_with_core_device(
        self,
        call: Call,
        *,
        core_device_thing_name: str,
        max_results: int | None = None,
        next_token: str | None = None,
    ) -> Output:
        operators_only(call)
        found = await everything(self._state.associations, f"{core_device_thing_name}/")
        rows = [(each["thingName"], each) for _, each in found]
        return listing("associatedClientDevices", *page(rows, next_token, max_results))

    # ------------------------------------------------------------------------------------------------ addresses

    @operation()
    async def get_connectivity_info(self, call: Call, *, thing_name: str) -> Output:
        self._allow(call, thing_name)
        found = await self._state.connectivity.get(thing_name)
        return {"connectivityInfo": found["info"] if found else [], "message": ""}

    @operation()
    async def update_connectivity_info(
        self, call: Call, *, thing_name: str, connectivity_info: list[dict[str, Any]]
    ) -> Output:
        """A core may do it with its certificate."""
        self._allow(call, thing_name)
        if len(connectivity_info) > MOST:
            raise invalid(f"A core has at most {MOST} addresses")
        info = [_address(each) for each in connectivity_info]
        version = str(uuid.uuid4())
        await self._state.connectivity.put(thing_name, {"info": info, "version": version})
        return {"version": version, "message": "Connectivity Info updated"}

    def _allow(self, call: Call, thing: str) -> None:
        arn = f"arn:aws:greengrass:{call.region}:{call.account}:/greengrass/things/{thing}/connectivityInfo"
        if call.principal.kind == "certificate" and not self._allows(call, f"greengrass:{call.operation}", arn):
            raise denied(f"No policy of the certificate allows greengrass:{call.operation} on {arn}")

    # ------------------------------------------------------------------------------------------------ discovery

    async def keep_authorities(self, core: str, authorities: list[str]) -> None:
        """PEM of those that sign the certificate of that core's broker."""
        await self._state.authorities.put(core, {"authorities": authorities})

    async def discover(self, thing: str, arn: str) -> Output | None:
        """What a device is told; ``arn`` is that of things, without a name. None: no core has it for a client."""
        groups = []
        for key, _ in await everything(self._state.associations):
            core, _, client = key.rpartition("/")
            if client != thing:
                continue
            info = await self._state.connectivity.get(core)
            signed = await self._state.authorities.get(core)
            addresses = [_shown(each) for each in (info["info"] if info else [])]
            groups.append(
                {
                    "GGGroupId": GROUP + core,
                    "Cores": [{"thingArn": arn + core, "Connectivity": addresses}],
                    "CAs": signed["authorities"] if signed else [],
                }
            )
        return {"GGGroups": groups} if groups else None


def _named(call: Call, entries: list[dict[str, Any]] | None) -> list[str]:
    operators_only(call)
    if not entries or len(entries) > MOST:
        raise invalid(f"entries must be from 1 to {MOST}")
    return [str(each["thingName"]) for each in entries]


def _failed(thing: str, message: str) -> dict[str, str]:
    """An entry of errorEntries."""
    return {"thingName": thing, "code": "ResourceNotFoundException", "message": message}


def _address(found: dict[str, Any]) -> dict[str, Any]:
    """Raises ValidationException."""
    host, port = found.get("hostAddress"), found.get("portNumber", 8883)
    if not host or not 0 <= port <= 65535:
        raise invalid("Connectivity information has a hostAddress and a portNumber")
    return {
        "id": found.get("id") or host,
        "hostAddress": host,
        "portNumber": port,
        "metadata": found.get("metadata", ""),
    }


def _shown(info: dict[str, Any]) -> dict[str, Any]:
    return {
        "Id": info["id"],
        "HostAddress": info["hostAddress"],
        "PortNumber": info["portNumber"],
        "Metadata": info["metadata"],
    }
