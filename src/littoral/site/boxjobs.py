"""``/_littoral/box/jobs/JID``: the steps of a box's job, for those who hold the region's own key.

GET  …                                → {"job": {…}, "running", "problem"}     whether the region carries it out now
POST … {"step": "prepare"}            → {"manifest": base64, "code"}     the box can be prepared with both
POST … {"step": "ready"}              → {}                               it may be carried away
POST … {"step": "begin"}              → {"kind", "ranges", "access_key", "secret_key", "authority"}
POST … {"step": "carry", "url": …}    → {}                               the region carries it out; "": not any more
POST … {"step": "moved", "moved": …}  → {}                               how far its transfer is
POST … {"step": "end", "moved": …, "logs": {"report": "BUCKET/KEY", …}} → {}
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import quote

from littoral.aws.identity import AccessKey
from littoral.aws.service import Call, Principal, ServiceError
from littoral.aws.sign import presign
from littoral.box.region.job import Moved
from littoral.box.region.steps import Steps
from littoral.net.message import BodyError, Handler, Request, Response, json_response
from littoral.objects import Objects
from littoral.site.boxcarrying import Carriers

PATH: Final = "/_littoral/box/jobs/"
MOST_BODY: Final = 16 * 1024
HOUR: Final = 3600


class BoxBuckets:
    """For boxes' jobs: the region's objects."""

    def __init__(self, objects: Objects, key: AccessKey) -> None:
        self.has = objects.has_bucket
        self._key = key

    def link(self, call: Call, where: str) -> str:
        url = f"{call.base_url}/{quote(where, safe='/~')}"
        key = self._key
        return presign(url, access_key=key.id, secret=key.secret, region=call.region, now=call.now, seconds=HOUR)


def steps_handler(steps: Steps, carriers: Carriers, authenticate: Callable[[Request], Awaitable[Principal]]) -> Handler:
    async def handle(request: Request) -> Response:
        try:
            principal = await authenticate(request)
            if principal.kind != "key" or principal.limited:
                raise ServiceError("AccessDenied", "This address is for the region's own key.", status=403)
            job = request.raw_path.removeprefix(PATH)
            if request.method == "GET":
                return json_response(200, {"job": steps.job(job).dump(), **carriers.status(job)})
            document = json.loads(await request.body.read(MOST_BODY))
            return json_response(200, await _step(steps, carriers, job, document))
        except ServiceError as problem:
            return json_response(problem.status or 400, {"code": problem.code, "message": problem.message})
        except (BodyError, ValueError, KeyError, TypeError, AttributeError):
            return json_response(400, {"code": "InvalidRequest", "message": "the body is a step of a box's job"})

    return handle


async def _step(steps: Steps, carriers: Carriers, job: str, asked: dict[str, Any]) -> dict[str, Any]:
    match asked["step"]:
        case "prepare":
            manifest, code = await steps.prepare(job, time.time())
            return {"manifest": base64.b64encode(manifest).decode(), "code": code}
        case "ready":
            await steps.ready(job)
        case "begin":
            access = await steps.begin(job)
            carriers.by_hand(job)
            return asdict(access)
        case "carry":
            url = str(asked["url"])
            await (carriers.begin(job, url) if url else carriers.stop(job))
        case "moved":
            await steps.moved(job, Moved(**asked["moved"]))
        case "end":
            await steps.end(job, Moved(**asked["moved"]), {name: str(where) for name, where in asked["logs"].items()})
        case _:
            raise ValueError(asked["step"])
    return {}
