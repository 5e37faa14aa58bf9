"""What a core tells the place above for discovery: the addresses of its broker, and who signs its certificate."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from littoral.core.link import Upstream
from littoral.net.client import HttpClient, RequestFailed
from littoral.net.message import BodyError, Headers

log = logging.getLogger(__name__)

AUTHORITIES: Final = "/_littoral/core-authorities/"  # at the device port of the place above, with the core's thing


class Telling:
    """False: it is not told, and the log says why."""

    def __init__(self, thing: str, client: HttpClient, upstream: Upstream) -> None:
        self._thing = quote(thing, safe="")
        self._client = client
        self._upstream = upstream

    async def authorities(self, pems: Sequence[str]) -> bool:
        """Nobody is there to be told where the place above is AWS: its way is in no public model."""
        if self._upstream.apart:
            return True
        return await self._put(AUTHORITIES + self._thing, {"authorities": list(pems)})

    async def addresses(self, hosts: Sequence[str], port: int) -> bool:
        """By UpdateConnectivityInfo."""
        info = [{"Id": each, "HostAddress": each, "PortNumber": port, "Metadata": ""} for each in hosts]
        return await self._put(f"/greengrass/things/{self._thing}/connectivityInfo", {"ConnectivityInfo": info})

    async def _put(self, path: str, document: Any) -> bool:
        above, headers = self._upstream, Headers.of([("content-type", "application/json")])
        endpoint = above.by_certificate
        try:
            response = await self._client.request(
                "PUT",
                endpoint.url + path,
                headers=headers,
                body=json.dumps(document).encode(),
                tls=above.tls,
                server_name=endpoint.server_name,
            )
            async with response:
                said = await response.body.read(64 * 1024)
        except (RequestFailed, BodyError, OSError) as problem:
            log.info("%s is not told yet: %s", path, problem)
            return False
        if response.status >= 400:
            log.warning("%s is refused: %s %s", path, response.status, said[:200].decode(errors="replace"))
        return response.status < 400
