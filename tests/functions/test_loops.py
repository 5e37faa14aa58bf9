"""The same on uvloop, in a thread that is not the main one: how a place runs, and how other tests run it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import uvloop

from tests.functions.deploy import place_in


async def _work(folder: Path) -> list[object]:
    async with place_in(folder) as place:
        await place.python("def handler(e, c):\n    print('x' * 100000)\n    return e * 2\n")
        await place.node("exports.handler = async (e) => e * 3", "n")
        doubled = await asyncio.gather(*(place.invoke(n) for n in range(20)))
        tripled = await asyncio.gather(*(place.invoke(n, "n") for n in range(3)))
        return [each.result for each in (*doubled, *tripled)]


async def test_functions_run_on_uvloop_in_a_thread(tmp_path: Path) -> None:
    results = await asyncio.to_thread(uvloop.run, _work(tmp_path))
    assert results == [n * 2 for n in range(20)] + [0, 3, 6]
