"""A region's models: opened and wired to its objects."""

from __future__ import annotations

from littoral.aws.service import ServiceError
from littoral.models.facade import Models
from littoral.objects import Objects
from littoral.site.foundation import Foundation
from littoral.store.durable import make_folder


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
    folder = base.folder / "models"
    make_folder(folder)
    settings = base.place.settings
    return await Models.open(
        base.store, folder, ModelObjects(objects), region=settings.region, account=settings.account
    )
