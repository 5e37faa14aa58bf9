"""The registry of things, certificates and policies at a region, and a core's copy, by which it admits devices."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from urllib.parse import unquote

from littoral.core.link import Upstream
from littoral.net.client import HttpClient, RequestFailed
from littoral.net.message import BodyError, Handler, Headers, Request, Response
from littoral.net.ongoing import Ongoing
from littoral.net.pki import certificate_id
from littoral.protocols.sigv4 import split_query
from littoral.things.facade import Things
from littoral.things.permissions import Caller

log = logging.getLogger("littoral.site")

REGISTRY = "/_littoral/registry"
CORE_DEVICES = "/greengrass/v2/coreDevices/"
REGISTRY_EVERY = 5.0  # seconds between looks for devices that were added above


def registry_handler(things: Things) -> Handler:
    """For cores: the things, certificates and policies that they admit client devices by.

    A core needs ``greengrass:VerifyClientDeviceIdentity``, the action by which AWS's cores ask about a device.
    """

    async def handle(request: Request) -> Response:
        certificate = certificate_id(request.peer.certificate or b"")
        if not may(things, certificate, "greengrass:VerifyClientDeviceIdentity", "*", request.peer.host):
            return Response(403, Headers.of([("content-type", "text/plain")]), b"not allowed\n")
        snapshot = await things.export_registry()
        if dict(split_query(request.query_string)).get("revision") == snapshot["revision"]:
            return Response(304)
        body = json.dumps(snapshot).encode()
        return Response(200, Headers.of([("content-type", "application/json")]), body)

    return handle


def may(things: Things, certificate: str, action: str, resource: str, host: str) -> bool:
    permissions = things.permissions
    if not permissions.active(certificate):
        return False
    return permissions.allows_arn(Caller(certificate, None, host), action, resource)


class RegistryCopy(Ongoing):
    """The core's copy of things, certificates and policies: fetched at each connect, and looked at now and then."""

    def __init__(self, above: Upstream, things: Things, verified: Callable[[], None]) -> None:
        """``verified`` is called whenever it is known to be what is above."""
        self._above = above
        self._things = things
        self._verified = verified
        self._client = HttpClient()
        self._revision = ""

    async def close(self) -> None:
        await super().close()
        await self._client.close()

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(REGISTRY_EVERY)
            await self.refresh()

    async def refresh(self) -> None:
        """One look. With the place above away, what is here goes on holding."""
        url = f"https://{self._above.host}:{self._above.port}{REGISTRY}?revision={self._revision}"
        try:
            response = await self._client.request("GET", url, tls=self._above.tls, server_name=self._above.server_name)
            async with response:
                body = await response.body.read(64 * 1024 * 1024)
        except (RequestFailed, BodyError) as problem:
            log.debug("the registry above cannot be reached: %s", problem)
            return
        if response.status == 200:
            snapshot = json.loads(body)
            changed = await self._things.import_registry(snapshot)
            self._revision = snapshot["revision"]
            if changed:
                log.info("devices: the registry of the place above was taken over")
        if response.status in (200, 304):
            self._verified()
        else:
            log.warning("the registry above is refused to this core: %s %s", response.status, body[:200].decode())


def thing_groups_handler(things: Things, prefix: str) -> Callable[[Request], Response | None]:
    """ListThingGroupsForCoreDevice, which cores call and no public model of AWS has. Other paths are the API's."""

    def handle(request: Request) -> Response | None:
        thing, _, rest = request.raw_path.removeprefix(CORE_DEVICES).partition("/")
        if rest != "thingGroups" or request.method != "GET":
            return None
        certificate, resource = certificate_id(request.peer.certificate or b""), f"{prefix}:coreDevices:{thing}"
        json_type = Headers.of([("content-type", "application/json")])
        if not may(things, certificate, "greengrass:ListThingGroupsForCoreDevice", resource, request.peer.host):
            return Response(403, json_type, b'{"message": "not allowed by a policy of this certificate"}')
        found = things.place_jobs.groups_of(unquote(thing))
        groups = [{"thingGroupName": each, "rootToParentThingGroups": []} for each in found]
        return Response(200, json_type, json.dumps({"thingGroups": groups}).encode())

    return handle
