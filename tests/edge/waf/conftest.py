from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.waf.place import Walls, walls


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Walls]:
    with walls(tmp_path) as made:
        yield made
