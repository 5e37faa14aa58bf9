"""How edge locations learn what to serve: a long poll for the desired state, and their acknowledgements.

    GET  /_littoral/edge/desired?location=pop1&after=41&wait=20   → the state, once its revision is past 41
    POST /_littoral/edge/acknowledge {"location": "pop1", "revision": 42, "functions": ["arn:…:function:a:3"]}
    GET  /_littoral/edge/certificate                              → ``viewercertificates``
    GET  /_littoral/edge/sites                                    → which location has what (`littoral sites`)

All are signed (SigV4). The state is whole, not a difference: a location that was away needs no history.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from littoral.aws.service import Principal, ServiceError
from littoral.edge.cffunctions.state import content_of, named
from littoral.edge.cloudfront import documents_of
from littoral.edge.control import Control
from littoral.edge.plan import items
from littoral.edge.viewercertificates import CERTIFICATES, Held, sealed, used
from littoral.edge.viewercertificates import PATH as CERTIFICATE
from littoral.edge.waf.bundles import bundles
from littoral.net.message import Handler, Headers, Request, Response, json_response
from littoral.protocols.sigv4 import split_query

PREFIX = "/_littoral/edge/"
LONGEST_WAIT = 30.0  # seconds


class Feed:
    """The region's side."""

    def __init__(
        self,
        control: Control,
        authenticate: Callable[[Request], Awaitable[Principal]],
        ruleset: str | None = None,
        certificates: Held | None = None,
        secret_of: Callable[[Principal], str | None] = lambda _: None,
    ) -> None:
        """``ruleset`` is the digest of the rule set that managed rule groups are made of. ``secret_of`` is the secret
        of who may have private keys, and nobody else's."""
        self._certificates = certificates
        self._secret_of = secret_of
        self._control = control
        self._ruleset = ruleset
        self._authenticate = authenticate

    def routes(self) -> dict[str, Handler]:
        return {PREFIX: self.handle}

    async def handle(self, request: Request) -> Response:
        try:
            principal = await self._authenticate(request)
            if principal.kind != "key":  # a device may have credentials, and no business here
                raise ServiceError(
                    "AccessDenied", "This address is for edge locations, with signed requests.", status=403
                )
            if request.raw_path == PREFIX + "desired" and request.method == "GET":
                return await self._desired(dict(split_query(request.query_string)))
            if request.raw_path == PREFIX + "content" and request.method == "GET":
                return self._content(dict(split_query(request.query_string))["digest"])
            if request.raw_path == CERTIFICATE and request.method == "GET":
                return await self._certificate(principal, dict(split_query(request.query_string)))
            if request.raw_path == PREFIX + "acknowledge" and request.method == "POST":
                return await self._acknowledge(json.loads(await request.body.read(1024 * 1024)))
            if request.raw_path == PREFIX + "sites" and request.method == "GET":
                return json_response(200, sites(self._control))
        except ServiceError as error:
            return json_response(error.status or 400, {"code": error.code, "message": error.message})
        except (ValueError, KeyError, TypeError) as problem:
            return json_response(400, {"code": "InvalidRequest", "message": f"unreadable request: {problem}"})
        return json_response(404, {"code": "NotFound", "message": request.raw_path})

    async def _desired(self, asked: dict[str, str]) -> Response:
        name, after = asked["location"], int(asked.get("after", "-1"))
        self._control.seen(name)
        wait = min(float(asked.get("wait", "0")), LONGEST_WAIT)
        if self._control.revision <= after and wait > 0:
            await self._control.wait_for_change(after, wait)
            self._control.seen(name)
        state = desired(self._control, self._ruleset)
        if self._certificates is not None:
            state |= used(self._control, self._certificates)
        return json_response(200, state)

    def _content(self, digest: str) -> Response:
        found = content_of(self._control, digest)
        if found is None:
            return json_response(404, {"code": "NotFound", "message": "nothing has that content now"})
        return Response(200, Headers.of([("content-type", "application/json")]), found)

    async def _certificate(self, principal: Principal, asked: dict[str, str]) -> Response:
        """Only one that a distribution uses, sealed for who asks."""
        secret, arn, fingerprint = self._secret_of(principal), asked["arn"], asked["fingerprint"]
        if self._certificates is None or secret is None:
            raise ServiceError("AccessDenied", "Private keys are for locations with a key of the place.", status=403)
        pair = None
        if used(self._control, self._certificates)[CERTIFICATES].get(arn) == fingerprint:
            pair = await self._certificates.pair(arn, fingerprint)
        if pair is None:
            return json_response(404, {"code": "NotFound", "message": "no distribution has that certificate now"})
        headers = Headers.of([("content-type", "application/octet-stream"), ("cache-control", "no-store")])
        return Response(200, headers, sealed(pair, arn, fingerprint, secret))

    async def _acknowledge(self, said: dict[str, Any]) -> Response:
        functions = [str(arn) for arn in said.get("functions", ())]
        address, region = str(said.get("address", "")), str(said.get("region", ""))
        await self._control.acknowledge(str(said["location"]), int(said["revision"]), functions, address, region)
        return json_response(200, {})


def desired(control: Control, ruleset: str | None = None) -> dict[str, Any]:
    """Everything a location serves by."""
    distributions = list(control.all("distribution").values())
    return {
        "revision": control.revision,
        "distributions": [{"id": d["id"], "domain": d["domain"], "config": d["config"]} for d in distributions],
        "policies": documents_of(control),
        "invalidations": [
            {
                "id": key,
                "distribution": d["distribution"],
                "paths": items(d["batch"], "Paths"),
                "revision": d["revision"],
            }
            for key, d in control.all("invalidation").items()
        ],
        "locations": [
            {"name": each.name, "address": each.address, "region": each.region}
            for each in control.alive()
            if each.address
        ],
        "secret": control.secret,
        **named(control),
        "functions": sorted({arn for d in distributions for arn in functions_of(d["config"])}),
        "webacls": bundles(control, ruleset),
    }


def sites(control: Control) -> dict[str, Any]:
    """Every location that was ever seen: the revision it serves, when it spoke last, the function versions it holds."""
    alive = {each.name for each in control.alive()}
    rows = []
    for name, location in sorted(control.locations.items()):
        state = "current" if location.revision >= control.revision else "behind"
        rows.append(
            {
                "name": name,
                "state": state if name in alive else "lost",
                "revision": location.revision,
                "seen": location.seen,
                "functions": sorted(location.functions),
            }
        )
    return {"revision": control.revision, "locations": rows}


def replicated(control: Control, arn: str) -> bool:
    """Whether a function version is a trigger somewhere, or a living location still holds it. ``arn`` without a
    version means any of them."""
    held = {each for location in control.alive() for each in location.functions}
    for document in control.all("distribution").values():
        held |= functions_of(document["config"])
    return any(each == arn or each.startswith(arn + ":") for each in held)


def functions_of(config: dict[str, Any]) -> set[str]:
    """The function versions that a distribution's triggers name."""
    behaviours = [config["DefaultCacheBehavior"], *items(config, "CacheBehaviors")]
    return {
        trigger["LambdaFunctionARN"]
        for behaviour in behaviours
        for trigger in items(behaviour, "LambdaFunctionAssociations")
    }
