"""Who waits for one of a few that are all out."""

from __future__ import annotations

import asyncio
import threading

from littoral.net.few import Few


async def waiting(few: Few[str], count: int) -> None:
    async with asyncio.timeout(20):
        while len(few._waiting) < count:
            await asyncio.sleep(0)


async def test_where_there_is_room_nobody_waits() -> None:
    few: Few[str] = Few(1)
    assert not await few.room()
    assert few.let(lambda: "a") == "a"
    few.back("a")
    assert not await few.room()


async def test_who_waits_is_called_in_turn_when_one_comes_back() -> None:
    few: Few[str] = Few(1)
    few.let(lambda: "first")
    order: list[int] = []

    async def takes(number: int) -> None:
        assert await few.room()
        order.append(number)
        assert few.let(lambda: str(number)) == str(number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(takes(number))
            await waiting(few, number + 1)
        for number, held in enumerate(("first", "0", "1")):
            few.back(held)
            async with asyncio.timeout(20):
                while len(order) <= number:
                    await asyncio.sleep(0)
    assert order == [0, 1, 2]


async def test_who_takes_nothing_or_is_cancelled_passes_it_on() -> None:
    few: Few[str] = Few(1)
    few.let(lambda: "first")
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        idle = tasks.create_task(few.room())
        gone = tasks.create_task(few.room())
        called_and_gone = tasks.create_task(few.room())
        last = tasks.create_task(few.room())
        await waiting(few, 4)
        gone.cancel()
        few.back("first")
        called_and_gone.cancel()  # perhaps it was called by now
    assert idle.result() and last.result()
    assert not few._waiting


async def test_who_waits_may_be_in_another_thread() -> None:
    few: Few[str] = Few(1)
    few.let(lambda: "first")
    found: list[bool] = []
    other = threading.Thread(target=lambda: found.append(asyncio.run(few.room())))
    other.start()
    await waiting(few, 1)
    few.back("first")
    await asyncio.to_thread(other.join, 20)
    assert found == [True]
