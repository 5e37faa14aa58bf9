"""kill -9 during writes: what was acknowledged is there, and item, index and stream agree."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tables.writer import KEYS, TABLE, opened

ROOT = Path(__file__).parents[2]
RUNS = 25


def killed(folder: Path, run: int, lines: int) -> dict[str, int]:
    """What was acknowledged last for every key before the writer was killed, after some lines."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    command = [sys.executable, "-m", "tests.tables.writer", str(folder), str(run)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        told += process.stdout.readlines()
    pairs = [line.decode().split() for line in told if line.endswith(b"\n")]
    return {key: int(number) for key, number in pairs}


@pytest.mark.slow
async def test_what_was_acknowledged_is_whole_after_kill_9(tmp_path: Path) -> None:
    expected: dict[str, int] = {}
    chance = random.Random(11)
    for run in range(1, RUNS + 1):
        acknowledged = killed(tmp_path, run, chance.randrange(1, 60))
        assert acknowledged, "the writer ended by itself"
        expected |= acknowledged
        tables = await opened(tmp_path)
        try:
            index = tables._parts.index
            table = index.table(TABLE)
            assert table.stream is not None
            items = {str(key): tables.get(TABLE, {"id": {"S": str(key)}}) for key in range(KEYS)}
            for key, least in expected.items():
                found = items[key]
                assert found is not None
                assert int(found["n"]["N"]) >= least  # or a later one, durable and not yet told
                assert found["body"]["S"] == f"{found['n']['N']} " * 50
            there = {key: item for key, item in items.items() if item is not None}
            entries = index.read("SELECT hash, range, bhash, brange FROM entries")
            wanted = {table.indexes[0].schema.key(item) + table.schema.key(item) for item in there.values()}
            assert set(entries) == wanted
            assert index.counts(table)[0] == len(there)
            last: dict[str, object] = {}
            for message in index.messages(table.stream.log, 0, 1_000_000):
                change = json.loads(message.data)["dynamodb"]
                assert change.get("OldImage") == last.get(change["Keys"]["id"]["S"]), "a write that no record tells"
                last[change["Keys"]["id"]["S"]] = change["NewImage"]
            assert last == there
        finally:
            await tables.close()
