"""Continuous deployment at the edge: who goes to the staging distribution, and who stays there. Pure.

Developer guide, "Learn how continuous deployment works": a request with the policy's header goes there; by weight a
share of the requests does, and with sessions a viewer stays where he came first until he was idle for so long or the
session is as old as it may be. A session is a cookie of the edge's own; neither functions, keys nor origins see it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

from littoral.edge.plan.deployment import Deployment
from littoral.edge.told import Told
from littoral.net.message import Answer, Headers, RawHeaders, Response

COOKIE = "cloudfront-cd-session"
STAGING, PRIMARY = "s", "p"


@dataclass(frozen=True, slots=True)
class Way:
    staged: bool
    cookie: bytes = b""  # Set-Cookie of the answer, where there are sessions


def way_of(deployment: Deployment, headers: Headers, chance: float, now: float) -> Way:
    """``chance`` is a random number from 0 to 1."""
    if deployment.header is not None:
        name, value = deployment.header
        return Way(any(pair == (name, value) for pair in headers.raw))
    if not deployment.idle:
        return Way(chance < deployment.weight)
    staged, began = session_of(deployment, headers, now) or (chance < deployment.weight, int(now))
    session = f"{STAGING if staged else PRIMARY}.{began}.{int(now)}"
    age = min(deployment.idle, deployment.most - (int(now) - began))
    return Way(staged, f"{COOKIE}={session}; Path=/; Max-Age={age}; HttpOnly".encode())


def session_of(deployment: Deployment, headers: Headers, now: float) -> tuple[bool, int] | None:
    """Where the viewer's session leads and when it began; None without one that lasts."""
    for line in headers.get_all("cookie"):
        for part in line.split(";"):
            name, _, value = part.strip().partition("=")
            kind, _, rest = value.partition(".")
            began, _, last = rest.partition(".")
            if name != COOKIE or kind not in {STAGING, PRIMARY} or not (began.isdecimal() and last.isdecimal()):
                continue
            if len(rest) < 40 and int(began) <= int(last) <= now + 1:  # a second: clocks of two locations
                lasts = now - int(last) <= deployment.idle and now - int(began) < deployment.most
                return (kind == STAGING, int(began)) if lasts else None
    return None


async def marked_later(answering: Awaitable[Answer], served: str, way: Way) -> Answer:
    return marked(await answering, served, way)


def marked(answer: Answer, served: str, way: Way) -> Answer:
    """With the session's cookie, and for the logs the distribution that answered (``served``, "" for the primary)."""
    if not isinstance(answer, Response):
        return answer
    if served:
        if not isinstance(answer.note, Told):
            answer.note = Told()
        answer.note.served = served
    if way.cookie and answer.prepared is not None:
        answer.prepared += b"set-cookie: %b\r\n" % way.cookie
    elif way.cookie:
        answer.headers.raw.append((b"set-cookie", way.cookie))
    return answer


def without_session(raw: RawHeaders) -> RawHeaders:
    """The request's headers without the edge's own cookie."""
    if not any(name == b"cookie" and COOKIE.encode() in value for name, value in raw):
        return raw
    kept: RawHeaders = []
    for name, value in raw:
        if name == b"cookie":
            parts = [part.strip() for part in value.split(b";")]
            others = b"; ".join(part for part in parts if part and not part.startswith(COOKIE.encode() + b"="))
            kept += [(name, others)] if others else []
        else:
            kept.append((name, value))
    return kept
