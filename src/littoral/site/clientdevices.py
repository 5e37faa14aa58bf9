"""Client devices: at the region the discovery API, at a core its broker and registry for ``core/clientdevices``."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from littoral.core.clientdevices.groups import NAME, Device
from littoral.core.clientdevices.ports import Judge, ServerCertificate
from littoral.core.clientdevices.telling import AUTHORITIES
from littoral.core.recipe import BadComponent
from littoral.net.message import Handler, Request, Response, json_response
from littoral.net.pki import Authority, Issued, certificate_id
from littoral.net.tls import Pair
from littoral.site.registry import may
from littoral.things.facade import Things

if TYPE_CHECKING:  # a core loads nothing of the region's side
    from littoral.core.greengrass import Greengrass

DISCOVER = "/greengrass/discover/thing/"
PORT = 8883
MOST_PEM = 64 * 1024


def discovery(things: Things, greengrass: Greengrass, region: str, account: str) -> dict[str, Handler]:
    """For the device port: path prefix → handler. A device asks for its own thing, a core speaks for its own, each with
    a certificate that is attached to it and a policy that allows ``greengrass:Discover`` or
    ``greengrass:PutCertificateAuthorities``."""
    arn = f"arn:aws:iot:{region}:{account}:thing/"

    def named(request: Request, prefix: str, action: str) -> str | None:
        """The thing in the path, where the caller may do that."""
        thing = unquote(request.raw_path.removeprefix(prefix))
        certificate = certificate_id(request.peer.certificate or b"")
        mine = things.certified(certificate, thing) is not None
        return thing if mine and may(things, certificate, action, arn + thing, request.peer.host) else None

    async def discover(request: Request) -> Response:
        thing = named(request, DISCOVER, "greengrass:Discover")
        if thing is None:
            return json_response(403, {"message": "Not allowed: greengrass:Discover"})
        found = await greengrass.discover(thing, arn)
        return json_response(404, {"message": f"{thing} has no core"}) if found is None else json_response(200, found)

    async def authorities(request: Request) -> Response:
        core = named(request, AUTHORITIES, "greengrass:PutCertificateAuthorities")
        if core is None:
            return json_response(403, {"message": "Not allowed: greengrass:PutCertificateAuthorities"})
        try:
            told = json.loads(await request.body.read(MOST_PEM))["authorities"]
            pems = [str(each) for each in told]
        except (ValueError, KeyError, TypeError):
            return json_response(400, {"message": "authorities must be a list of PEM texts"})
        await greengrass.keep_authorities(core, pems)
        return json_response(200, {})

    return {DISCOVER: discover, AUTHORITIES: authorities}


def _nowhere(_pair: Pair) -> None:
    """There is no broker for devices."""


class CoreClients:
    """A ``ClientPlace``. ``port``, and ``shows`` (what gives the broker another certificate), are set once it
    listens."""

    def __init__(self, things: Things, authority: Authority, names: Sequence[str]) -> None:
        self._things = things
        self._authority = self._signer = authority
        self._chain = b""  # certificates of an authority that is not the place's
        self.shows: Callable[[Pair], None] = _nowhere
        self.names = names  # of the broker, for its certificate
        self.port = PORT

    def device(self, certificate: str, thing: str) -> Device | None:
        attributes = self._things.certified(certificate, thing)
        return None if attributes is None else Device(thing, attributes)

    def active(self, certificate: str) -> bool:
        return self._things.permissions.active(certificate)

    def judge_by(self, judge: Judge | None) -> None:
        def decide(certificate: str, client_id: str, operation: str, resource: str) -> bool:
            device = self.device(certificate, client_id)
            return device is not None and judge is not None and judge(device, operation, resource)

        self._things.judge_by(decide if judge is not None else None)

    def issue(self, hosts: Collection[str], lasts: float | None) -> ServerCertificate:
        issued = self._issued(hosts, lasts)
        return ServerCertificate(
            (issued.certificate + self._chain).decode(),
            issued.private_key.decode(),
            issued.public_key.decode(),
            tuple(self.authorities()),
        )

    def show(self, hosts: Collection[str], lasts: float | None) -> None:
        issued = self._issued(hosts, lasts)
        self.shows((issued.certificate + self._chain, issued.private_key))

    def _issued(self, hosts: Collection[str], lasts: float | None) -> Issued:
        names = [*self.names, *sorted(set(hosts) - set(self.names))]
        return self._signer.issue_server(names, *(() if lasts is None else (lasts / 86400,)))

    def sign_by(self, authority: tuple[bytes, bytes] | None) -> None:
        if authority is None:
            self._signer, self._chain = self._authority, b""
            return
        try:
            self._signer, self._chain = Authority.of(*authority), authority[0]
        except ValueError as problem:
            raise BadComponent(f"{NAME}: the certificateAuthority cannot be used: {problem}") from problem

    def authorities(self) -> Sequence[str]:
        pems = self._chain or self._signer.certificate_pem
        return [each.public_bytes(Encoding.PEM).decode() for each in x509.load_pem_x509_certificates(pems)]
