"""Reads as of one commit, whatever is committed between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from littoral.store.embedded.database import Database
from tests.support.commits import held

SCHEMA = "CREATE TABLE IF NOT EXISTS t(n INTEGER)"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = await Database.open(tmp_path / "t.db", SCHEMA)
    yield made
    await made.close()


def count(database: Database) -> int:
    return int(database.read("SELECT count(*) FROM t")[0][0])


async def test_a_moment_is_of_one_commit_and_the_next_of_the_last(database: Database) -> None:
    with held(database) as commit:
        writing = asyncio.create_task(database.write(lambda c: c.execute("INSERT INTO t VALUES(1)") and None))
        await asyncio.sleep(0)
        await asyncio.to_thread(commit.until_due)
        with database.moment():
            assert count(database) == 0
            commit.happen()
            with database.moment():  # one within another is the same
                assert count(database) == 0
            assert count(database) == 0
        assert count(database) == 1
        await writing


async def test_a_moment_that_fails_ends(database: Database) -> None:
    with pytest.raises(ValueError, match="mine"), database.moment():
        count(database)
        raise ValueError("mine")
    await database.write(lambda c: c.execute("INSERT INTO t VALUES(1)") and None)
    assert count(database) == 1
