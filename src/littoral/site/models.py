"""The models of a region or a box: opened, wired to its objects, kept in their sandbox, and asked by who may ask."""

from __future__ import annotations

import base64
import hmac

from littoral.aws.gateway import Gateway
from littoral.aws.identity import Identity
from littoral.aws.service import Principal, ServiceError
from littoral.aws.signedonly import Authenticate, signed_only
from littoral.models.facade import Models, Serving
from littoral.models.remote import FILES, KEY
from littoral.net.message import Headers, Request, Response
from littoral.objects import Objects
from littoral.site.foundation import Foundation
from littoral.site.modelroom import confined, unconfined


class ModelObjects:
    """Where the API reads models from."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def read(self, bucket: str, key: str, most: int) -> bytes:
        found = bytearray()
        try:
            async for chunk in self._objects.chunks(bucket, key):
                found += chunk
                if len(found) > most:
                    raise ServiceError("ValidationException", f"s3://{bucket}/{key} has more than {most} bytes.")
        except ServiceError as problem:
            if problem.code == "ValidationException":
                raise
            text = f"Could not read model data at s3://{bucket}/{key}: {problem.message}"
            raise ServiceError("ValidationException", text, status=400) from problem
        return bytes(found)


async def open_models(base: Foundation, objects: Objects) -> Models:
    settings = base.place.settings
    serving = Serving(
        unconfined if settings.insecure_no_sandbox else confined,
        settings.models_memory * 1024 * 1024,
        settings.models_threads or 0,
    )
    models = await Models.open(
        base.store,
        base.folder / "models",
        ModelObjects(objects),
        serving,
        region=settings.region,
        account=settings.account,
    )
    base.place.part(models.close)
    models.start()
    return models


def route_inference(gateway: Gateway, models: Models, identity: Identity) -> None:
    """The Open Inference Protocol, for requests that are signed or have an access key by HTTP's Basic scheme, for
    clients that sign nothing."""
    gateway.route(FILES, signed_only(gateway.authenticate, models.file))
    gateway.exact_route(KEY, lambda _: Response(200, Headers.of([("content-type", "text/plain")]), models.key))
    handler = models.inference(signed_or_basic(identity, gateway.authenticate))
    gateway.route("/v2/", handler)
    gateway.exact_route("/v2", handler)


def signed_or_basic(identity: Identity, authenticate: Authenticate) -> Authenticate:
    async def decide(request: Request) -> Principal:
        scheme, _, given = (request.headers.get("authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            principal = await authenticate(request)
            if principal.kind == "anonymous" and identity.verify:
                raise ServiceError("MissingAuthenticationToken", "a signature, or an access key is needed", status=401)
            return principal
        try:
            name, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
        except ValueError:
            name, secret = "", ""
        known = identity.secret_of(name)
        if known is None or not hmac.compare_digest(known.encode(), secret.encode()):
            raise ServiceError(
                "UnrecognizedClientException", "the access key is not known or its secret another", status=401
            )
        principal = identity.principal(name)
        if principal.limited or principal.account != identity.account:
            raise ServiceError("AccessDeniedException", "this key may use S3, as bucket policies grant", status=403)
        return principal

    return decide
