"""``Models``: the capability as the site sees it.

models = await Models.open(store, folder, buckets, region="us-east-1", account="000000000000")
models.registry                  # Registry: what other parts of the place register with
models.api                       # for botocore's service "sagemaker"
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Self

from littoral.models.api.parts import Buckets, Here
from littoral.models.api.sagemaker import ModelsApi
from littoral.models.registry import Registry
from littoral.models.registry.signing import Signer
from littoral.store.embedded import EmbeddedStore


class Models:
    def __init__(self, registry: Registry, buckets: Buckets, here: Here) -> None:
        self.registry = registry
        self.api = ModelsApi(registry, buckets, here)

    @classmethod
    async def open(cls, store: EmbeddedStore, folder: Path, buckets: Buckets, *, region: str, account: str) -> Self:
        """``folder`` holds the key that versions are signed with. Raises StoreError, OSError."""
        signer = await asyncio.to_thread(Signer.load_or_create, folder / "signing.key")
        registry = await Registry.open(store.records("models"), store.blobs("models"), signer)
        return cls(registry, buckets, Here(region, account))
