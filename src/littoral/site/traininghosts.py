"""At a region: the machines that offer hosts for training, who dial in at the device port, and the list of them.

A machine shows a certificate of the registry, says which thing it is of, and needs a policy that allows
``littoral:OfferTrainingHosts``. What is taken back from it ends its offers within seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from littoral.aws.signedonly import Authenticate, signed_only
from littoral.net.message import Answer, Handler, Request, Response, WebSocketUpgrade, json_response
from littoral.net.pki import certificate_id
from littoral.site.registry import may
from littoral.things.facade import Things
from littoral.training.elsewhere.line import SUBPROTOCOL
from littoral.training.elsewhere.offers import Offer, Offers

MACHINES: Final = "/_littoral/training/machines"
ACTION: Final = "littoral:OfferTrainingHosts"
THING: Final = "x-amzn-iot-thingname"  # the header by which AWS's credentials provider is told, too


def offers_handler(things: Things, offers: Offers) -> Callable[[Request], Answer]:
    def handle(request: Request) -> Answer:
        certificate, thing = certificate_id(request.peer.certificate or b""), request.headers.get(THING) or ""
        host = request.peer.host

        def still() -> bool:
            return things.certified(certificate, thing) is not None and may(things, certificate, ACTION, "*", host)

        if things.certified(certificate, thing) is None:
            return json_response(403, {"message": f"this certificate is not that of a thing {thing!r}"})
        if not still():
            return json_response(403, {"message": f"no policy of this certificate allows {ACTION}"})
        return WebSocketUpgrade(partial(Offer, offers, thing, host, still), SUBPROTOCOL)

    return handle


def machines_handler(offers: Offers, authenticate: Authenticate) -> Handler:
    async def answer(request: Request) -> Response:
        if request.method != "GET":
            return json_response(405, {"code": "MethodNotAllowed", "message": "GET"})
        return json_response(200, {"machines": offers.listing()})

    return signed_only(authenticate, answer)
