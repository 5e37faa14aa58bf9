"""A behaviour's CloudFront functions at work: from a request to its event, and from the answer to what goes on.

Synchronous, as the engine is. ``Failed`` says what the viewer gets instead: 503 where the function failed, 502 where
its answer is not what it may be.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from littoral.edge.cffunctions.engine import Ran
from littoral.edge.cffunctions.event import (
    changed_request,
    changed_response,
    event_text,
    generated_response,
    is_response,
    request_document,
    response_document,
)
from littoral.edge.cffunctions.functions import CloudFrontFunctions
from littoral.edge.edgeheaders import InvalidAnswer
from littoral.edge.plan.origin import Origin, origin_of
from littoral.edge.triggers import About, EdgeRequest, EdgeResponse

log = logging.getLogger("littoral.edge")

KNOWN = {
    "domainName",
    "originPath",
    "customHeaders",
    "connectionAttempts",
    "timeouts",
    "customOriginConfig",
    "originAccessControlConfig",
    "originShield",
}


class Failed(Exception):
    """``kind`` is CloudFront's name for it: FunctionExecutionError (503) or FunctionValidationError (502)."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind

    @property
    def status(self) -> int:
        return 503 if self.kind == "FunctionExecutionError" else 502


@dataclass(frozen=True, slots=True)
class Going:
    """The request goes on; ``origin`` where the function chose another."""

    request: EdgeRequest
    origin: Origin | None = None


def at_request(
    functions: CloudFrontFunctions,
    arn: str,
    about: About,
    request: EdgeRequest,
    origin: Origin,
    origins: Mapping[str, Origin],
) -> Going | EdgeResponse:
    """viewer-request. Raises Failed."""
    shown = request_document(request)
    event = event_text(about, "viewer-request", request.client_ip, shown)
    ran = _called(functions, arn, about, event, request.querystring)
    assert ran.result is not None
    try:
        if is_response(ran.result):
            return generated_response(ran.result)
        going = changed_request(ran.result, shown, request)
        return Going(going, None if ran.origin is None else changed_origin(ran.origin, origin, origins))
    except InvalidAnswer as problem:
        log.warning("%s: a function's answer is not valid: %s", arn, problem)
        raise Failed("FunctionValidationError", str(problem)) from problem


def at_response(
    functions: CloudFrontFunctions, arn: str, about: About, request: EdgeRequest, response: EdgeResponse
) -> EdgeResponse:
    """viewer-response: ``body`` is None unless the function replaced it. Raises Failed."""
    shown = response_document(response)
    event = event_text(about, "viewer-response", request.client_ip, request_document(request), shown)
    ran = _called(functions, arn, about, event, request.querystring)
    assert ran.result is not None
    try:
        return changed_response(ran.result, shown, response)
    except InvalidAnswer as problem:
        log.warning("%s: a function's answer is not valid: %s", arn, problem)
        raise Failed("FunctionValidationError", str(problem)) from problem


def _called(functions: CloudFrontFunctions, arn: str, about: About, event: str, query: str) -> Ran:
    ran = functions.call(arn, event, query, about.request_id, about.distribution)
    if ran.error is not None:
        log.info("%s failed: %s", arn, ran.error)
        raise Failed("FunctionExecutionError", ran.error)
    return ran


def changed_origin(asked: Mapping[str, Any], before: Origin, origins: Mapping[str, Origin]) -> Origin:
    """What ``updateRequestOrigin`` or ``selectRequestOriginById`` asked for. What it does not say is inherited.

    Raises InvalidAnswer."""
    if "id" in asked:
        found = origins.get(asked["id"])
        if found is None:
            raise InvalidAnswer(f"the distribution has no origin {asked['id']!r}")
        before = found
    changes = asked.get("changes")
    if not isinstance(changes, dict) or not set(changes) <= KNOWN:
        raise InvalidAnswer(f"an origin is changed by {', '.join(sorted(KNOWN))}")
    if (changes.get("originShield") or {}).get("enabled"):
        raise InvalidAnswer("origin shield is not implemented here")
    try:
        return _with(before, changes)
    except (TypeError, ValueError, AttributeError, KeyError) as problem:
        raise InvalidAnswer(f"the origin cannot be read: {problem}") from problem


def _with(before: Origin, changes: Mapping[str, Any]) -> Origin:
    domain = changes.get("domainName", before.domain)
    custom = changes.get("customOriginConfig")
    if not isinstance(domain, str) or not domain or set(domain) & set("/?#@ \t\r\n"):
        raise ValueError("domainName must be a host name")
    made = before
    if domain != before.domain:
        found = origin_of({"Id": before.id, "DomainName": domain, "CustomOriginConfig": custom}, {})
        made = replace(before, domain=domain, bucket=found.bucket)
    if "originPath" in changes:
        path = changes["originPath"]
        if path and (not path.startswith("/") or path.endswith("/")):
            raise ValueError("originPath begins with a slash and does not end with one")
        made = replace(made, path=path)
    if "customHeaders" in changes:
        made = replace(made, headers=tuple((str(k), str(v)) for k, v in changes["customHeaders"].items()))
    if custom is not None:
        port, protocol = int(custom.get("port", 443 if custom["protocol"] == "https" else 80)), custom["protocol"]
        if protocol not in {"http", "https"} or not 0 < port < 65536:
            raise ValueError("customOriginConfig has a protocol, http or https, and a port")
        made = replace(made, bucket=None, protocol_policy=f"{protocol}-only", http_port=port, https_port=port)
    access = changes.get("originAccessControlConfig")
    if access is not None:
        made = replace(made, signing=access.get("signingBehavior", "always") if access.get("enabled") else "no")
    timeouts = changes.get("timeouts") or {}
    return replace(
        made,
        attempts=int(changes.get("connectionAttempts", made.attempts)),
        connect_timeout=float(timeouts.get("connectionTimeout", made.connect_timeout)),
        read_timeout=float(timeouts.get("readTimeout", made.read_timeout)),
    )
