from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from littoral.tour.link import Link as Cable
from tests.core.world import CorePlace, RegionPlace
from tests.support.notebook import notebook


@pytest.fixture
async def region(tmp_path: Path) -> AsyncIterator[RegionPlace]:
    made = RegionPlace(tmp_path / "region")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def cable(region: RegionPlace) -> Iterator[Cable]:
    """Between core and region; it can be cut."""
    with Cable("127.0.0.1", region.device_port) as made:
        yield made


@pytest.fixture
async def place(region: RegionPlace, cable: Cable, tmp_path: Path) -> AsyncIterator[CorePlace]:
    identity = await region.core_identity()
    made = CorePlace(tmp_path / "core", cable.port, identity, region.authority.certificate_pem)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """What functions note by ``port``."""
    return tmp_path / "notes"


@pytest.fixture
def port(out: Path) -> Iterator[int]:
    with notebook(out) as opened:
        yield opened
