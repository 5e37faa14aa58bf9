"""Places that are their objects alone, for ``served``."""

from __future__ import annotations

import os
from typing import Any

from littoral.objects import Objects
from littoral.store.embedded import EmbeddedStore
from littoral.store.key import StoreKey


async def objects_in(store: EmbeddedStore) -> dict[str, Any]:
    made = await Objects.open(store, store.folder.parent / "objects")
    await made.start()
    return {"s3": made.api, "close": made.close}


async def sealed_objects_in(store: EmbeddedStore) -> dict[str, Any]:
    """As a box's: bytes lie sealed, in a store of their own beside."""
    inner = await EmbeddedStore.open(store.folder.parent / "sealed", key=StoreKey(os.urandom(32)))
    made = await Objects.open(inner, store.folder.parent / "objects")
    await made.start()
    return {"s3": made.api, "close": [made.close, inner.close]}
