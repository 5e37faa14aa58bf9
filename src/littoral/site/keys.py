"""``/_littoral/keys``: the place's further access keys, for those who hold its own.

    GET    /_littoral/keys                              → {"keys": [{"id", "user", "account"}]}
    POST   /_littoral/keys {"user": "camera7"}          → {"id", "secret", "user", "account"}, the secret this once
    POST   /_littoral/keys {"account": "111122223333"}
    DELETE /_littoral/keys?id=AKIA…                     → {}

A user's key may do what bucket policies grant it; another account's has S3 buckets of its own.
"""

from __future__ import annotations

import json
import re
from typing import Any

from littoral.aws.identity import KEYS, Identity, kept_keys, new_key
from littoral.aws.signedonly import Authenticate, signed_only
from littoral.net.message import BodyError, Handler, Request, Response, json_response
from littoral.protocols.sigv4 import split_query
from littoral.store.contract import Records

PATH = "/_littoral/keys"
MOST_BODY = 4096
_USER = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")
_ACCOUNT = re.compile(r"[0-9]{12}")


class Refused(Exception):
    """What is asked for is wrong; the message is for people."""


def keys_handler(identity: Identity, records: Records, authenticate: Authenticate) -> Handler:
    async def answer(request: Request) -> Response:
        try:
            return json_response(200, await _answer(request))
        except Refused as problem:
            return json_response(400, {"code": "InvalidRequest", "message": str(problem)})

    async def _answer(request: Request) -> dict[str, Any]:
        if request.method == "GET":
            kept = await kept_keys(records)
            return {"keys": [{"id": key.id, "user": key.user, "account": key.account} for key in kept]}
        if request.method == "POST":
            key = new_key(**_wanted(await _document(request), identity.account))
            shown = {"id": key.id, "secret": key.secret, "user": key.user, "account": key.account}
            await records.put(KEYS + key.id, json.dumps(shown).encode(), expect=0)
            identity.add(key)
            return shown
        if request.method == "DELETE":
            wanted = dict(split_query(request.query_string)).get("id", "")
            if await records.get(KEYS + wanted) is None:  # the place's own is none of these
                raise Refused(f"there is no key {wanted[:40]!r}")
            identity.remove(wanted)  # first: a key that is being deleted is not taken any more
            await records.delete(KEYS + wanted)
            return {}
        raise Refused("GET, POST and DELETE are here")

    return signed_only(authenticate, answer)


async def _document(request: Request) -> Any:
    try:
        return json.loads(await request.body.read(MOST_BODY))
    except (BodyError, ValueError) as problem:
        raise Refused("the body is a JSON document") from problem


def _wanted(given: Any, own: str) -> dict[str, str]:
    """``user`` or ``account`` of a new key."""
    if not isinstance(given, dict) or len(given) != 1 or given.keys() - {"user", "account"}:
        raise Refused("either a user or an account")
    (member, value), *_ = given.items()
    form = _USER if member == "user" else _ACCOUNT
    if not isinstance(value, str) or not form.fullmatch(value):
        raise Refused("a user's name has 1-64 letters, digits and _+=,.@-, an account twelve digits")
    if member == "account" and value == own:
        raise Refused("that is the place's own account, whose key is there (littoral credentials)")
    return {member: value}
