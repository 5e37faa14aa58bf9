"""At a region's device port: the blocks of an artifact, for cores whose policy lets them fetch it."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from littoral.aws.service import ServiceError
from littoral.core.greengrass import Greengrass
from littoral.net.message import Headers, Request, Response, json_response
from littoral.net.pki import certificate_id
from littoral.protocols.sigv4 import split_query
from littoral.site.registry import may
from littoral.things.facade import Things


def blocks_handler(things: Things, greengrass: Greengrass) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def handle(request: Request) -> Response:
        asked = dict(split_query(request.query_string))
        arn, name = asked.get("arn", ""), asked.get("artifact", "")
        certificate = certificate_id(request.peer.certificate or b"")
        if not may(things, certificate, "greengrass:GetComponentVersionArtifact", arn, request.peer.host):
            return json_response(403, {"message": "not allowed by a policy of this certificate"})
        try:
            manifest = await greengrass.artifact_blocks(arn, name)
        except ServiceError as problem:
            return json_response(404, {"message": problem.message})
        if manifest is None:
            return json_response(404, {"message": "the object is not what it was"})
        body = json.dumps(manifest.document, separators=(",", ":")).encode()
        return Response(200, Headers.of([("content-type", "application/json")]), body)

    return handle
