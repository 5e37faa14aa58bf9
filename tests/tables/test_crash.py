"""kill -9 during writes: what was acknowledged is there, and item, index and stream agree."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.support.killed import acknowledged
from tests.tables.writer import KEYS, TABLE, opened

RUNS = 25


@pytest.mark.slow
async def test_what_was_acknowledged_is_whole_after_kill_9(tmp_path: Path) -> None:
    expected: dict[str, int] = {}
    chance = random.Random(11)
    for run in range(1, RUNS + 1):
        told = acknowledged("tests.tables.writer", tmp_path, run, chance.randrange(1, 60))
        expected |= {key: int(number) for key, number in told.items()}
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
