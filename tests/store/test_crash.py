"""Writers killed with SIGKILL: everything acknowledged is there after the restart, and nothing is half there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from littoral.store.embedded import EmbeddedStore
from tests.store.crash_writer import verify

RUNS = 200


class Forge:
    """Runs writers, one at a time, and kills each after so many acknowledgements."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.crash_writer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, folder: Path, run: str, acknowledgements: int) -> list[str]:
        """What the writer acknowledged before it died."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{folder} {run}\n")
        self.process.stdin.flush()
        lines: list[str] = []
        pid = 0
        for line in map(str.strip, self.process.stdout):
            if line.startswith("pid "):
                pid = int(line[4:])
            elif line.startswith("gone "):
                assert line == "gone killed", lines[-1:]
                return lines
            else:
                lines.append(line)
            if pid and len(lines) == acknowledgements:
                os.kill(pid, signal.SIGKILL)
        raise AssertionError("the forge ended")

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture
def forge() -> Iterator[Forge]:
    made = Forge()
    yield made
    made.close()


@pytest.mark.slow
async def test_two_hundred_killed_writers_lose_nothing(tmp_path: Path, forge: Forge) -> None:
    chance = random.Random(20261123)
    folder = tmp_path / "store"
    acknowledged: dict[str, list[str]] = {}
    for number in range(RUNS):
        run = f"{number:03}"
        acknowledged[run] = forge.run(folder, run, chance.randint(1, 150))
        store = await EmbeddedStore.open(folder)
        await verify(store, run, acknowledged[run])
        assert not list((folder / "blobs").glob("*/*.part"))
        await store.close()
    kinds = {line.split()[0] for lines in acknowledged.values() for line in lines}
    assert kinds == {"published", "put", "blob", "done"}
