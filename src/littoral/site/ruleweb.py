"""For topic rules: requests to endpoints beyond the place, and the page that confirms one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from littoral.aws.identity import AccessKey
from littoral.aws.sign import sign
from littoral.net.client import HttpClient
from littoral.net.message import BodyError, Handler, Headers, Request, Response
from littoral.things.facade import Things
from littoral.things.rules import SigV4

CONFIRM = "/confirmdestination/"
MOST_ANSWER = 16_384  # bytes of an answer that are read


class RuleWeb:
    """``Web`` of the rules' destinations. Requests are signed with the place's own key: there are no roles."""

    def __init__(self, key: AccessKey, api: Callable[[], str]) -> None:
        self._key = key
        self._api = api
        self._client = HttpClient()

    async def close(self) -> None:
        await self._client.close()

    @property
    def api(self) -> str:
        return self._api()

    async def post(self, url: str, headers: Headers, body: bytes) -> int:
        async with await self._client.request("POST", url, headers=headers, body=body) as response:
            with contextlib.suppress(BodyError):  # of what an endpoint says beside its status nothing is used
                await response.body.read(MOST_ANSWER)
            return response.status

    def sign(self, url: str, headers: Headers, body: bytes, sigv4: SigV4) -> None:
        sign(
            "POST",
            url,
            headers,
            access_key=self._key.id,
            secret=self._key.secret,
            service=sigv4.service,
            region=sigv4.region,
            now=time.time(),
            payload=body,
        )


def confirmation_page(things: Things) -> Handler:
    """``enableUrl`` of a confirmation message: whoever opens it has the token, and enables the destination."""

    async def confirm(request: Request) -> Response:
        token = request.raw_path.removeprefix(CONFIRM)
        good = request.method == "GET" and await things.destinations.confirm(token, enable=True)
        words = b"The destination is confirmed and enabled.\n" if good else b"This confirmation is not valid.\n"
        return Response(200 if good else 400, Headers.of([("content-type", "text/plain")]), words)

    return confirm
