"""``/_littoral/usage``: what functions used, for those who may call this place's APIs.

    GET /_littoral/usage?since=2026-11-01&until=2026-11-23      signed (SigV4), days included, both optional

answers ``{"since", "until", "days": [{"day", "function", "requests", …, "gb_seconds"}], "total": {…}}``. Without
``since``, the 30 days to today.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from littoral.aws.signedonly import Authenticate, signed_only
from littoral.functions.metering import Meter, Usage, day_of, days_ago
from littoral.net.message import Handler, Request, Response, json_response
from littoral.protocols.sigv4 import split_query

PATH = "/_littoral/usage"
DEFAULT_DAYS = 30


def usage_handler(meter: Meter, clock: Callable[[], float], authenticate: Authenticate) -> Handler:
    async def answer(request: Request) -> Response:
        if request.raw_path != PATH or request.method != "GET":
            return json_response(404, {"code": "NotFound", "message": f"Only GET {PATH} is here."})
        asked = dict(split_query(request.query_string))
        unknown = sorted(asked.keys() - {"since", "until"})
        try:
            since = _day(asked.get("since") or days_ago(clock(), DEFAULT_DAYS))
            until = _day(asked.get("until") or day_of(clock()))
        except ValueError as problem:
            return json_response(400, {"code": "InvalidRequest", "message": f"a day is written 2026-11-23: {problem}"})
        if unknown:
            return json_response(400, {"code": "InvalidRequest", "message": f"unknown: {', '.join(unknown)[:200]}"})
        return json_response(200, await _answer(meter, since, until))

    return signed_only(authenticate, answer)


async def _answer(meter: Meter, since: str, until: str) -> dict[str, Any]:
    total = Usage()
    days = []
    for used in await meter.read(since, until):
        total.add(used.usage)
        days.append({"day": used.day, "function": used.function, **used.usage.document()})
    return {"since": since, "until": until, "days": days, "total": total.document()}


def _day(text: str) -> str:
    found = date.fromisoformat(text)
    if found.isoformat() != text:
        raise ValueError(f"not {text[:40]!r}")
    return text
