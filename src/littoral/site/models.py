"""The models of a region or a box: opened, wired to its objects, kept in their sandbox, and asked by who may ask."""

from __future__ import annotations

from littoral.aws.gateway import Gateway
from littoral.aws.identity import Identity
from littoral.aws.service import ServiceError
from littoral.aws.signedonly import signed_only
from littoral.models.facade import Models, Serving
from littoral.models.remote import FILES, KEY
from littoral.net.message import Headers, Response
from littoral.objects import Objects
from littoral.site.basic import signed_or_basic
from littoral.site.foundation import Foundation
from littoral.site.modelroom import confined, limits_of, unconfined


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
    serving = Serving(unconfined if settings.insecure_no_sandbox else confined, limits_of(settings))
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
