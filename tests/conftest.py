"""What holds for every test: none of hypothesis fails because the machine is busy, gRPC keeps out of forks, and what
Python compiled is kept."""

import os
import sys
from collections import Counter

import pytest
from hypothesis import settings

settings.register_profile("littoral", deadline=None)
settings.load_profile("littoral")

# grpcio's fork handlers abort one child in a hundred where another thread of it works (measured: 8 of 800, without
# them 0). The tests start programs by fork, and none of those children uses gRPC.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# Container images like to set this. Then each of the hundreds of places that tests start compiles a thousand modules,
# which is as much work as all the rest of a start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers get files with slow tests first and small ones last, so that none is left with a long one at the end.

    xdist's own order, by number alone, has the drills last: a file and a test, and a minute each."""
    if not hasattr(config, "workerinput"):
        return
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    count = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -count[item.path]))
