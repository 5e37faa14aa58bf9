"""Which service and operation a request is for.

Asked in this order: the credential's scope (the signing name, which several services may share), ``X-Amz-Target``,
and, for unsigned requests, host and path. Then the operation: by target (json), ``Action`` (query) or route (REST).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import parse_qsl

from littoral.aws import models
from littoral.aws.service import ServiceError
from littoral.net.message import BytesBody, Request
from littoral.protocols import sigv4

VIRTUAL_HOST = re.compile(r"^(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\.s3[.-](?:[a-z0-9.-]+)(?::\d+)?$")
DATED_PATH = re.compile(r"^/20\d\d-\d\d-\d\d/")  # lambda and cloudfront begin with the version of their API
CREDENTIAL = re.compile(r"Credential=([^,\s]+)")
JOB_PATHS = re.compile(r"^/things/[^/]+/jobs(/|$)")
DEVICE_PATHS = re.compile(r"^/(topics/|things/[^/]+/shadow|api/things/|retainedMessage)")


@dataclass(slots=True)
class Recognised:
    """What a request is for, before it is parsed."""

    service: str
    operation: str
    labels: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] = field(default_factory=dict)  # of the query protocol


def scope_of(request: Request, query: list[tuple[str, str]]) -> str | None:
    """The signing name of the request's credential, None when it is not signed."""
    header = request.headers.get("authorization") or ""
    found = CREDENTIAL.search(header)
    text = found[1] if found else dict(query).get("X-Amz-Credential")
    if header.startswith(sigv4.ASYMMETRIC):
        parts = (text or "").rsplit("/", 3)
        return parts[2] if len(parts) == 4 else None
    parts = (text or "").rsplit("/", 4)
    return parts[3] if len(parts) == 5 else None


def service_of(request: Request, query: list[tuple[str, str]], served: Collection[str]) -> str:
    """One of the ``served`` services. Raises ServiceError where none fits."""
    scope = scope_of(request, query)
    target = request.headers.get("x-amz-target")
    if target is not None:
        prefix = target.partition(".")[0]
        for service in served:
            if models.service_model(service).metadata.get("targetPrefix") == prefix:
                return service
    if scope is not None:
        fitting = _signed_as(scope, tuple(served))
        if fitting is not None:
            return fitting
        raise ServiceError("NotImplemented", f"The service {scope[:60]!r} is not served here.", status=501)
    if JOB_PATHS.match(request.raw_path) and "iot-jobs-data" in served:
        return "iot-jobs-data"
    if DEVICE_PATHS.match(request.raw_path) and "iot-data" in served:
        return "iot-data"
    if request.raw_path.startswith("/greengrass/") and "greengrassv2" in served:
        return "greengrassv2"
    if DATED_PATH.match(request.raw_path):
        for service in served:
            if service != "s3" and models.protocol(service).startswith("rest"):
                found = models.match(service, request.method, request.raw_path, dict(query), set())
                if found is not None:
                    return service
    if "s3" in served and not _is_form(request):
        return "s3"
    if "sts" in served and _is_form(request):
        return "sts"
    raise ServiceError("MissingAuthenticationToken", "Missing Authentication Token", status=403)


@lru_cache(maxsize=256)
def _signed_as(scope: str, served: tuple[str, ...]) -> str | None:
    if scope in {"iotdevicegateway", "iotdata"} and "iot-data" in served:
        return "iot-data"
    return next((service for service in served if models.signing_name(service) == scope), None)


async def operation_of(request: Request, service: str, query: list[tuple[str, str]]) -> Recognised:
    """Raises ServiceError with the protocol's error for an unknown operation."""
    kind = models.protocol(service)
    if kind == "json":
        name = (request.headers.get("x-amz-target") or "").rpartition(".")[2]
        if name not in models.service_model(service).operation_names:
            raise ServiceError("UnknownOperationException", f"Unknown operation {name[:100]}", status=400)
        return Recognised(service, name)
    if kind == "query":
        return await _by_action(request, service, query)
    path = virtual_path(request) if service == "s3" else request.raw_path
    if service == "s3" and path.count("/") == 2 and path.endswith("/"):
        path = path[:-1]  # "/bucket/" is the bucket
    found = models.only_route(service, request.method, path)
    if found is None:
        names = {name for name, _ in request.headers.items()}
        found = models.match(service, request.method, path, dict(query), names)
    if found is None:
        if service == "s3":
            raise ServiceError(
                "MethodNotAllowed", "The specified method is not allowed against this resource.", status=405
            )
        raise ServiceError("UnknownOperationException", f"No operation at {request.method} {path[:200]}", status=404)
    return Recognised(service, *found)


async def _by_action(request: Request, service: str, query: list[tuple[str, str]]) -> Recognised:
    form = dict(query)
    if request.method == "POST":
        body = await request.body.read(1024 * 1024)
        request.body = BytesBody(body)  # it is read once more, to check its hash
        form |= dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    name = form.get("Action", "")
    if name not in models.service_model(service).operation_names:
        raise ServiceError("InvalidAction", f"Could not find operation {name[:100]}", status=400)
    return Recognised(service, name, form=form)


def virtual_path(request: Request) -> str:
    """The path with the bucket in front, whether the client put it there or into the host name."""
    found = VIRTUAL_HOST.match(request.host.lower())
    return f"/{found['bucket']}{request.raw_path}" if found else request.raw_path


def _is_form(request: Request) -> bool:
    return (request.headers.get("content-type") or "").startswith("application/x-www-form-urlencoded")


def query_pairs(request: Request) -> list[tuple[str, str]]:
    return sigv4.split_query(request.query_string) if request.query_string else []
