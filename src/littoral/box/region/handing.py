"""Links to manifests: a path of the API's listener that anybody may get for an hour who was given it."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Final

from littoral.aws.service import Call, ServiceError
from littoral.net.message import Handler, Headers, Request, Response, json_response
from littoral.protocols.sigv4 import split_query

PATH: Final = "/_littoral/box/manifest/"
HOUR: Final = 3600
Manifest = Callable[[str], Awaitable[bytes | None]]


class ManifestLinks:
    """``key`` signs them; ``manifest`` is the sealed manifest of a job, None where there is none."""

    def __init__(self, key: bytes, manifest: Manifest, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._manifest = manifest
        self._clock = clock

    def link(self, call: Call, job: str) -> str:
        until = int(call.now) + HOUR
        return f"{call.base_url}{PATH}{job}?expires={until}&signature={self._signature(job, until)}"

    def routes(self) -> dict[str, Handler]:
        return {PATH: self._handle}

    async def _handle(self, request: Request) -> Response:
        job = request.raw_path.removeprefix(PATH)
        query = dict(split_query(request.query_string))
        until = query.get("expires", "")
        given = query.get("signature", "")
        if not until.isascii() or not until.isdigit() or len(until) > 12:
            return _refused("this is no link to a manifest")
        if not hmac.compare_digest(given.encode(), self._signature(job, int(until)).encode()):
            return _refused("this is no link to a manifest")
        if self._clock() > int(until):
            return _refused("this link has expired; GetJobManifest gives another")
        try:
            manifest = await self._manifest(job)
        except ServiceError as refused:  # its key of KMS was disabled meanwhile
            return _refused(refused.message)
        if request.method != "GET" or manifest is None:
            return _refused("there is no such manifest")
        return Response(200, Headers.of([("content-type", "application/octet-stream")]), manifest)

    def _signature(self, job: str, until: int) -> str:
        return hmac.new(self._key, f"manifest {job} {until}".encode(), hashlib.sha256).hexdigest()


def _refused(message: str) -> Response:
    return json_response(403, {"code": "AccessDenied", "message": message})
