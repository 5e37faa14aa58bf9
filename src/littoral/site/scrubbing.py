"""``/_littoral/scrub``: how far the scrub of objects is, for those who hold the place's own key.

GET  /_littoral/scrub    → the pass as ``objects.scrub.Pass``, "running", "known": what is damaged now
POST /_littoral/scrub    → the same; a pass begins, or goes on
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from littoral.aws.signedonly import Authenticate, signed_only
from littoral.net.message import Handler, Request, Response, json_response
from littoral.objects.scrub import Scrub
from littoral.site.metrics import Reading

PATH = "/_littoral/scrub"


def scrub_handler(scrub: Scrub, authenticate: Authenticate) -> Handler:
    async def answer(request: Request) -> Response:
        if request.method not in ("GET", "POST"):
            return json_response(405, {"code": "MethodNotAllowed", "message": "GET, or POST to begin"})
        return json_response(200, asked(scrub, request.method == "POST"))

    return signed_only(authenticate, answer)


def asked(scrub: Scrub, now: bool) -> dict[str, Any]:
    """The answer; ``now`` begins a pass."""
    if now:
        scrub.now()
    return scrub.status()


def scrub_readings(scrub: Scrub) -> Iterable[Reading]:
    now = scrub.current
    yield Reading("littoral_objects_scrub_bytes_total", "Bytes that the scrub has read", scrub.bytes_total)
    yield Reading("littoral_objects_scrub_mended_total", "Blobs and rows made whole from a replica", scrub.mended_total)
    yield Reading("littoral_objects_scrub_damaged", "Blobs and rows that are damaged now", len(scrub.known))
    yield Reading("littoral_objects_scrub_running", "Whether a pass is under way", float(scrub.running))
    yield Reading("littoral_objects_scrub_last_end_timestamp_seconds", "When the last pass ended", now.ended)
