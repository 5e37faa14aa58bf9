"""What the region keeps: component versions, deployments, the latest of each target, core devices, request tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from littoral.protocols.semver import parse
from littoral.store.contract import Records
from littoral.store.documents import Document, Documents


class State:
    """``lock`` is held by whoever changes more than one document."""

    def __init__(self, records: Records) -> None:
        self.components = Documents(records, "component/")  # <name>/<version>
        self.deployments = Documents(records, "deployment/")  # <id>
        self.targets = Documents(records, "target/")  # <thing> or thinggroup/<name>: its latest deployment
        self.cores = Documents(records, "core/")  # <thing>
        self.associations = Documents(records, "association/")  # <core>/<client device>
        self.connectivity = Documents(records, "connectivity/")  # <core>: where its broker is
        self.authorities = Documents(records, "authorities/")  # <core>: who signs its broker's certificate
        self.account = Documents(records, "account/")  # service-role
        self._tokens = Documents(records, "token/")
        self.lock = asyncio.Lock()

    async def versions(self, name: str) -> list[Document]:
        """Of one component, newest first."""
        return newest_first(document for _, document in await everything(self.components, f"{name}/"))

    async def once(self, token: str | None, make: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """The same result for the same clientToken. Under the lock."""
        if token is None:
            return await make()
        known = await self._tokens.get(token)
        if known is not None:
            return known
        made = await make()
        await self._tokens.put(token, made)
        return made


def newest_first(versions: Iterable[Document]) -> list[Document]:
    return sorted(versions, key=lambda document: parse(document["version"]), reverse=True)


async def everything(documents: Documents, prefix: str = "") -> list[tuple[str, Document]]:
    """All pages of a scan."""
    found: list[tuple[str, Document]] = []
    while page := await documents.scan(prefix, after=found[-1][0] if found else ""):
        found += page
    return found
