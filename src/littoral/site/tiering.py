"""``/_littoral/tier``: what of the objects lies here and what above, for those who hold the place's own key.

GET  /_littoral/tier     → ``objects.tiering.Tier.status``; "waiting" says why the place above does not answer
POST /_littoral/tier     → the same, after room was made, or why it could not be
"""

from __future__ import annotations

from collections.abc import Iterable

from littoral.aws.service import ServiceError
from littoral.aws.signedonly import Authenticate, signed_only
from littoral.net.message import Handler, Request, Response, json_response
from littoral.objects.tiering.tier import Tier
from littoral.site.metrics import Reading
from littoral.store.contract import StoreError

PATH = "/_littoral/tier"


def tier_handler(tier: Tier, authenticate: Authenticate) -> Handler:
    async def answer(request: Request) -> Response:
        if request.method not in ("GET", "POST"):
            return json_response(405, {"code": "MethodNotAllowed", "message": "GET, or POST to make room"})
        try:
            await (tier.make_room() if request.method == "POST" else tier.count())
            await tier.reach()
        except (StoreError, ServiceError) as problem:
            return json_response(200, tier.status() | {"waiting": str(problem)})
        return json_response(200, tier.status())

    return signed_only(authenticate, answer)


def tier_readings(tier: Tier) -> Iterable[Reading]:
    yield Reading("littoral_objects_tier_here_bytes", "Bytes of objects in files here", tier.here_bytes)
    yield Reading("littoral_objects_tier_above_bytes", "Bytes of objects that are above only", tier.away_bytes)
    yield Reading("littoral_objects_tier_let_go_total", "Blobs that went, the place above has them", tier.let_go_total)
    yield Reading("littoral_objects_tier_recalled_total", "Blobs that came back", tier.recalled_total)
    yield Reading("littoral_objects_tier_read_through_total", "Reads answered from above", tier.read_through_total)
    yield Reading("littoral_objects_tier_waiting", "Whether the place above does not answer", float(bool(tier.problem)))
