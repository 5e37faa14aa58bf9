"""Which service and operation a request is for.

Asked in this order: ``X-Amz-Target``, the credential's scope (the signing name, which several services may share), and,
for unsigned requests, host and path. Then the operation: by target (json), ``Action`` (query) or route (REST).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import parse_qsl, unquote_to_bytes

from littoral.aws import models, routes
from littoral.aws.asked import Asked
from littoral.aws.service import ServiceError
from littoral.net.message import BytesBody, Request

VIRTUAL_HOST = re.compile(r"^(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\.s3[.-](?:[a-z0-9.-]+)(?::\d+)?$")
DATED_PATH = re.compile(r"^/20\d\d-\d\d-\d\d/")  # lambda and cloudfront begin with the version of their API
JOB_PATHS = re.compile(r"^/things/[^/]+/jobs(/|$)")
DEVICE_PATHS = re.compile(r"^/(topics/|things/[^/]+/shadow|api/things/|retainedMessage|connections/)")
MAX_FORM = 1024 * 1024


class Services:
    """Those that are served at one address, by what names them."""

    def __init__(self, served: Iterable[str]) -> None:
        self._served = tuple(served)
        self._by_target: dict[str, str] = {}
        self._by_scope: dict[str, str] = {}
        for service in self._served:
            target = models.metadata(service).get("targetPrefix")
            if target is not None:
                self._by_target.setdefault(target, service)
            self._by_scope.setdefault(models.signing_name(service), service)
        if "iot-data" in self._served:
            self._by_scope |= {"iotdevicegateway": "iot-data", "iotdata": "iot-data"}

    def of(self, asked: Asked) -> str:
        """Raises ServiceError where none fits."""
        target = asked.field(b"x-amz-target")
        if target is not None:
            named = self._by_target.get(target.partition(".")[0])
            if named is not None:
                return named
        scope = asked.scope
        if scope is None:
            return self._unsigned(asked)
        if scope in self._by_scope:
            return self._by_scope[scope]
        raise ServiceError("NotImplemented", f"The service {scope[:60]!r} is not served here.", status=501)

    def _unsigned(self, asked: Asked) -> str:
        served, path = self._served, asked.request.raw_path
        if asked.second and "s3" in served:
            return "s3"
        if JOB_PATHS.match(path) and "iot-jobs-data" in served:
            return "iot-jobs-data"
        if DEVICE_PATHS.match(path) and "iot-data" in served:
            return "iot-data"
        if path.startswith("/greengrass/") and "greengrassv2" in served:
            return "greengrassv2"
        if DATED_PATH.match(path):
            for service in served:
                if service != "s3" and models.protocol(service).startswith("rest"):
                    found = routes.match(service, asked.request.method, path, dict(asked.parts.query), set())
                    if found is not None:
                        return service
        form = _is_form(asked)
        if "s3" in served and not form:
            return "s3"
        if "sts" in served and form:
            return "sts"
        raise ServiceError("MissingAuthenticationToken", "Missing Authentication Token", status=403)


def _is_form(asked: Asked) -> bool:
    """Of the query protocol, which is sent to no bucket. (curl and urllib say so of whatever they send.)"""
    form = (asked.field(b"content-type") or "").startswith("application/x-www-form-urlencoded")
    return form and asked.request.method == "POST" and virtual_path(asked.request) == "/"


def named_by_form(service: str) -> bool:
    """Whether its operations are named by what ``read_form`` reads."""
    return models.protocol(service) == "query"


async def read_form(asked: Asked) -> None:
    """The parameters of the query protocol, into the parts."""
    form = dict(asked.parts.query)
    if asked.request.method == "POST":
        body = await asked.request.body.read(MAX_FORM)
        asked.request.body = BytesBody(body)  # it is read once more, to check its hash
        form |= dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    asked.parts.form = form


def operation_of(asked: Asked, service: str) -> str:
    """The operation's name; its path labels are put into the parts. Raises ServiceError with the protocol's error for
    an unknown one."""
    kind = models.protocol(service)
    if kind == "json":
        name = (asked.field(b"x-amz-target") or "").rpartition(".")[2]
        if name not in models.service_model(service).operation_names:
            raise ServiceError("UnknownOperationException", f"Unknown operation {name[:100]}", status=400)
        return name
    if kind == "query":
        return _by_action(asked, service)
    return _by_route(asked, service)


def _by_route(asked: Asked, service: str) -> str:
    request = asked.request
    path = virtual_path(request) if service == "s3" else request.raw_path
    if service == "s3" and path.count("/") == 2 and path.endswith("/"):
        path = path[:-1]  # "/bucket/" is the bucket
    if service == "s3" and "%" in path:
        _check_encoding(path)
    found = routes.only_route(service, request.method, path)
    if found is None:
        if asked.parts.query:
            names = {name.decode("latin-1") for name in asked.parts.fields}
            found = routes.match(service, request.method, path, dict(asked.parts.query), names)
        else:
            found = routes.bare_route(service, request.method, path, asked.parts.fields)
    if found is None:
        if service == "s3":
            raise ServiceError(
                "MethodNotAllowed", "The specified method is not allowed against this resource.", status=405
            )
        raise ServiceError("UnknownOperationException", f"No operation at {request.method} {path[:200]}", status=404)
    name, asked.parts.labels = found
    return name


def _check_encoding(path: str) -> None:
    """Keys are UTF-8: what is none would be the same key as others that are none. Raises ServiceError."""
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise ServiceError("InvalidURI", "Couldn't parse the specified URI.", status=400) from None


def _by_action(asked: Asked, service: str) -> str:
    name = asked.parts.form.get("Action", "")
    if name not in models.service_model(service).operation_names:
        raise ServiceError("InvalidAction", f"Could not find operation {name[:100]}", status=400)
    return name


def virtual_path(request: Request) -> str:
    """The path with the bucket in front, whether the client put it there or into the host name."""
    bucket = _bucket_of(request.host)
    return f"/{bucket}{request.raw_path}" if bucket is not None else request.raw_path


@lru_cache(256)
def _bucket_of(host: str) -> str | None:
    found = VIRTUAL_HOST.match(host.lower())
    return None if found is None else found["bucket"]
