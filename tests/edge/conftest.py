from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from littoral.edge.relaying import Relayed
from littoral.net.passage import Viewer
from tests.edge.place import Edge, edge


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[Edge]:
    async with edge(tmp_path) as made:
        yield made


@pytest.fixture
def relayed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The targets of those that went the short way."""
    targets: list[str] = []
    send = Relayed.send

    def note(self: Relayed, viewer: Viewer, *more: Any) -> None:
        targets.append(self.request.target)
        send(self, viewer, *more)

    monkeypatch.setattr(Relayed, "send", note)
    return targets
