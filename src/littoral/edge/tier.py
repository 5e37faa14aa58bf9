"""Origin Shield: one location that the others ask before an origin, so that an origin sees one request for all of them.

``OriginShieldRegion`` names the location: by its own name, or by the AWS region of the place it is part of. What one
location asks another is a plain GET for the distribution's host with one header more::

    x-littoral-tier: revision=42&behaviour=%2A&address=192.0.2.7&tls=1&time=1700000000&signature=…

signed with a secret that the region gives its locations. What the viewer's location did (policy, signature, viewer
functions) is not done again; cache, collapsing and origin functions are the shield's. A shield that has not applied the
revision that the asking location serves by refuses, and the origin is asked directly: an object that was invalidated
must not come back from the tier above. So it is with a shield that is away. Only what is cached goes through it: PUT,
POST and the rest go to the origin at once.

Owns: who is the shield, the header, its signature. Knows no cache.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from littoral.net.client import ClientResponse, HttpClient, RequestFailed
from littoral.net.message import Headers, Request

HEADER = "x-littoral-tier"
RAW = HEADER.encode()
WITHIN = 60.0  # seconds between the clocks of two locations
CONNECT, READ = 2.0, 60.0  # seconds
HOPS = frozenset("connection keep-alive proxy-connection te trailer transfer-encoding upgrade expect host".split())


class NotTrusted(Exception):
    """The header is not one of our locations', or is too old."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What a location says of the request that it asks the shield for."""

    revision: int  # that it serves by
    behaviour: str  # its path pattern, which a viewer-request function may have led the path out of
    address: str  # of the viewer
    tls: bool


@dataclass(slots=True)
class Tier:
    """This location's place among the others."""

    name: str
    client: HttpClient | None = None
    clock: Callable[[], float] = lambda: 0.0
    region: str = ""  # of the place that this location is part of
    secret: bytes = b""
    wanted: int = -1  # the revision that is being applied, or is
    applied: int = -1
    addresses: dict[str, str] = field(default_factory=dict)  # of the other locations, by name and by region
    hosts: frozenset[str] = frozenset()  # of those addresses
    hits: int = 0  # answers that the shield had

    def know(self, state: Mapping[str, Any]) -> None:
        """What the region says of its locations."""
        self.secret = str(state.get("secret", "")).encode()
        self.addresses = {}
        named = (urlsplit(each["address"]).hostname for each in state.get("locations", ()) if each["name"] != self.name)
        self.hosts = frozenset(name for name in named if name)
        for each in state.get("locations", ()):
            if each["name"] != self.name:
                self.addresses.setdefault(each["region"], each["address"])
        for each in state.get("locations", ()):
            if each["name"] != self.name:
                self.addresses[each["name"]] = each["address"]

    def is_shield(self, shield: str | None) -> bool:
        return shield is not None and shield in {self.name, self.region}

    def above(self, shield: str | None) -> str | None:
        """Where to ask first: None at the shield itself, and where it is not known."""
        if shield is None or self.client is None or not self.secret or self.is_shield(shield):
            return None
        return self.addresses.get(shield)

    async def ask(
        self, url: str, host: str, target: str, headers: Headers, asking: Asking
    ) -> tuple[ClientResponse, bool]:
        """And whether the shield had it. Raises RequestFailed, also where the shield does not answer as one."""
        assert self.client is not None
        sent = Headers([pair for pair in headers.raw if pair[0].decode("latin-1") not in HOPS and pair[0] != RAW])
        sent.set("host", host)
        sent.set(HEADER, self._signed(host, target, asking))
        response = await self.client.request(
            "GET", url + target, headers=sent, connect_timeout=CONNECT, read_timeout=READ
        )
        if HEADER not in response.headers:
            response.release()
            raise RequestFailed(f"{url} did not answer as a shield: {response.status}")
        hit = (response.headers.get("x-cache") or "").startswith(("Hit", "RefreshHit"))
        self.hits += hit
        response.headers.remove(HEADER)
        return response, hit

    def _signed(self, host: str, target: str, asking: Asking) -> str:
        said = {
            "revision": asking.revision,
            "behaviour": asking.behaviour,
            "address": asking.address,
            "tls": int(asking.tls),
            "time": int(self.clock()),
        }
        text = urlencode(said)
        return f"{text}&signature={self._signature(host, target, text)}"

    def _signature(self, host: str, target: str, text: str) -> str:
        return hmac.new(self.secret, f"{host}\n{target}\n{text}".encode(), hashlib.sha256).hexdigest()

    def asked(self, request: Request) -> Asking:
        """Of a request with the header. Raises NotTrusted."""
        text, _, signature = (request.headers.get(HEADER) or "").rpartition("&signature=")
        expected = self._signature(request.host, request.target, text)
        if not self.secret or not hmac.compare_digest(expected.encode(), signature.encode("latin-1")):
            raise NotTrusted("the request is not signed by a location of this region")
        said = dict(parse_qsl(text))
        try:
            asking = Asking(int(said["revision"]), said["behaviour"], said["address"], said["tls"] == "1")
            moment = int(said["time"])
        except (KeyError, ValueError) as problem:
            raise NotTrusted("the request says too little") from problem
        if abs(self.clock() - moment) > WITHIN:
            raise NotTrusted("the request is of another time")
        return asking

    def behind(self, asking: Asking) -> bool:
        return self.applied < asking.revision


def inner(request: Request, asking: Asking) -> Request:
    """The viewer's request, as it came to the location that asks."""
    headers = Headers([pair for pair in request.headers.raw if pair[0] != RAW])
    return replace(request, headers=headers, peer=replace(request.peer, host=asking.address, tls=asking.tls))
