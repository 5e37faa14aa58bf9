"""Writes until it is killed, and says what was acknowledged: ``python -m tests.tables.writer FOLDER RUN``."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from littoral.protocols.dynamodb.keys import Attribute, Schema
from littoral.tables import TableStore, changes
from littoral.tables.table import SecondaryIndex, Table

TABLE = "crash"
KEYS = 5


def make(connection: Any, number: int) -> Table:
    owner = SecondaryIndex(1, "by-owner", Schema(Attribute("owner", "S"), Attribute("n", "N")), False)
    connection.execute("INSERT INTO indexes(id, tab) VALUES(1, ?)", (number,))
    stream = changes.begin(connection, "u" * 32, "label", "NEW_AND_OLD_IMAGES", time.time())
    schema, types = Schema(Attribute("id", "S"), None), {"id": "S", "owner": "S", "n": "N"}
    return Table(number, TABLE, "0" * 32, time.time(), schema, types, (owner,), stream=stream)


async def opened(folder: Path) -> TableStore:
    tables = await TableStore.open(folder, region="us-east-1", account="0" * 12)
    if tables._parts.index.find(TABLE) is None:
        await tables._parts.index.create(make, TABLE)
    return tables


async def main(folder: Path, run: int) -> None:
    tables = await opened(folder)

    async def write(key: int) -> None:
        for count in range(10_000):
            number = run * 100_000 + count
            item = {"id": {"S": str(key)}, "owner": {"S": f"o{count % 3}"}, "n": {"N": str(number)}}
            await tables.put(TABLE, {**item, "body": {"S": f"{number} " * 50}})
            print(key, number, flush=True)

    await asyncio.gather(*(write(key) for key in range(KEYS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
