"""The cache over restarts: what was stored is served again, what was invalidated is not, nothing is ever torn."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from littoral.edge.cache import Cache, Entry, Key
from littoral.edge.rows import Rows, committed, erase
from littoral.net.message import FileSlice, Headers, Response
from tests.edge.place import Edge, answer, cache_policy, edge

NONE = Headers([])
MIB = 1024 * 1024


def key(name: str) -> Key:
    return ("E1", (name, "", "", ""))


@asynccontextmanager
async def cache(folder: Path, memory: int = 8 * MIB, disk: int = 64 * MIB) -> AsyncIterator[Cache]:
    made = Cache(folder, memory, disk)
    try:
        yield made
    finally:
        await made.close()


def entry(made: Cache, name: str, body: bytes, **more: Any) -> Entry:
    kept: Any = body
    if len(body) > MIB:
        kept = made.disk.new_file()
        kept.path.write_bytes(body)
    return Entry(name, 200, [(b"a", b"\xff")], kept, len(body), 1.0, 1e10, since=made.generation, **more)


def content(found: Entry | None) -> bytes | None:
    if found is None:
        return None
    part = found.content()
    return part.path.read_bytes() if isinstance(part, FileSlice) else part


@pytest.mark.parametrize("size", [0, 10, MIB, 3 * MIB])
async def test_an_entry_is_the_same_after_a_restart(tmp_path: Path, size: int) -> None:
    body = random.Random(1).randbytes(size)
    async with cache(tmp_path) as made:
        kept = entry(made, "/a", body, etag='"1"', stale_while_revalidate=5.0, tags=("x",), vary=())
        made.put(key("/a"), kept, NONE, 0)
    async with cache(tmp_path) as again:
        _, found = await again.find(key("/a"), NONE)
        assert found is not None and content(found) == body
        assert found.written() == kept.written() and found.path == kept.path
        assert again.get(key("/a")) is found  # in memory from now on
        assert len(list(again.disk.files.iterdir())) == (size > MIB)


async def test_variants_are_found_after_a_restart(tmp_path: Path) -> None:
    def asks(language: str) -> Headers:
        return Headers.of([("accept-language", language)])

    async with cache(tmp_path) as made:
        for language in ("de", "en"):
            kept = entry(made, "/a", language.encode(), vary=("accept-language",))
            made.put(key("/a"), kept, asks(language), 0)
    async with cache(tmp_path) as again:
        for language, expected in (("de", b"de"), ("en", b"en"), ("fr", None)):
            assert content((await again.find(key("/a"), asks(language)))[1]) == expected


@pytest.mark.parametrize(
    ("patterns", "tags", "left"),
    [
        (["/a/1"], [], {"/a/2", "/b/1"}),
        (["/a/*"], [], {"/b/1"}),
        (["*"], [], set()),
        ([], ["even"], {"/a/1", "/b/1"}),
        (["/A/1", "/b"], ["other"], {"/a/1", "/a/2", "/b/1"}),
    ],
)
async def test_what_was_invalidated_stays_so(
    tmp_path: Path, patterns: list[str], tags: list[str], left: set[str]
) -> None:
    names = ("/a/1", "/a/2", "/b/1")
    async with cache(tmp_path) as made:
        for name in names:
            made.put(key(name), entry(made, name, b"x", tags=("even",) if name == "/a/2" else ()), NONE, 0)
        await made.invalidate("E1", patterns, tags)
        assert {name for name in names if made.get(key(name))} == left
    async with cache(tmp_path) as again:
        assert {name for name in names if (await again.find(key(name), NONE))[1]} == left
        gone = next((name for name in names if name not in left), "/a/1")
        again.put(key(gone), entry(again, gone, b"new"), NONE, 0)
        assert content(again.get(key(gone))) == b"new"
    async with cache(tmp_path) as third:
        assert content((await third.find(key(gone), NONE))[1]) == b"new"


async def test_what_was_asked_for_before_an_invalidation_is_not_kept(tmp_path: Path) -> None:
    async with cache(tmp_path) as made:
        early = entry(made, "/a", b"old")
        await made.invalidate("E1", ["/a"])
        made.put(key("/a"), early, NONE, 0)
        assert (await made.find(key("/a"), NONE))[1] is None
        made.changed("E1", "/b")
        made.put(key("/b"), entry(made, "/b", b"new"), NONE, 0)
        await made.invalidate("E1", ["/c"])
        assert content(made.get(key("/b"))) == b"new"


async def test_a_change_reaches_the_disk(tmp_path: Path) -> None:
    async with cache(tmp_path) as made:
        made.put(key("/a"), entry(made, "/a", b"x"), NONE, 0)
        await made.disk.settled()
        made.changed("E1", "/a")
        assert (await made.find(key("/a"), NONE))[1] is None
    async with cache(tmp_path) as again:
        assert (await again.find(key("/a"), NONE))[1] is None


async def test_both_bounds_hold_and_what_is_used_stays(tmp_path: Path) -> None:
    async with cache(tmp_path, memory=200_000, disk=2 * MIB) as made:
        for number in range(600):
            made.put(key(f"/{number}"), entry(made, f"/{number}", b"x" * 10_000), NONE, 0)
            assert made.bytes <= 200_000
            assert (await made.find(key("/0"), NONE))[1] is not None
        await made.disk.settled()
        assert made.disk.bytes <= 2 * MIB
        assert 150 < len(made.disk) < 210
        assert sum(file.stat().st_size for file in tmp_path.iterdir() if file.is_file()) < 16 * MIB


async def test_the_log_of_a_small_cache_is_small(tmp_path: Path) -> None:
    async with cache(tmp_path, disk=8 * MIB) as made:
        for number in range(100):
            made.put(key(f"/{number}"), entry(made, f"/{number}", b"x" * 100_000), NONE, 0)
            await made.disk.settled()
        assert (tmp_path / "index.sqlite-wal").stat().st_size <= 2 * MIB  # ten were written


async def test_large_files_go_with_their_rows(tmp_path: Path) -> None:
    async with cache(tmp_path, disk=12 * MIB) as made:
        for number in range(9):
            made.put(key(f"/{number}"), entry(made, f"/{number}", b"x" * (2 * MIB)), NONE, 0)
            made.drop(key(f"/{number}"))
        await made.disk.settled()
        assert len(made.disk) == 5
        async with asyncio.timeout(10):  # a file goes with its last reader, here the writing thread
            while len(list(made.disk.files.iterdir())) != 5:
                await asyncio.sleep(0.01)
        (made.disk.files / "left-by-a-crash").write_bytes(b"half")
    async with cache(tmp_path) as again:
        await again.disk.settled()
        assert len(list(again.disk.files.iterdir())) == 5


async def test_memory_holds_no_file_that_the_disk_let_go(tmp_path: Path) -> None:
    async with cache(tmp_path, disk=12 * MIB) as made:
        for number in range(12):
            made.put(key(f"/{number}"), entry(made, f"/{number}", b"x" * (2 * MIB)), NONE, 0)
        made.put(key("/huge"), entry(made, "/huge", b"x" * (4 * MIB)), NONE, 0)
        assert made.get(key("/huge")) is None  # more than a quarter of the disk
        await made.disk.settled()
        async with asyncio.timeout(10):  # a file goes with its last reader, memory or the writing thread
            while len(list(made.disk.files.iterdir())) != 5:
                await asyncio.sleep(0.01)
        assert sum(made.get(key(f"/{number}")) is not None for number in range(12)) == len(made.disk) == 5


def meanwhile(made: Cache, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[None]]) -> None:
    """``happens`` once, between the reading of a row and what is made of it."""
    loop, read, due = asyncio.get_running_loop(), made.disk._row, [happens]

    def row(at: bytes) -> Any:
        found = read(at)
        while due:
            asyncio.run_coroutine_threadsafe(due.pop()(), loop).result()
        return found

    monkeypatch.setattr(made.disk, "_row", row)


async def test_of_a_row_that_was_found_bad_the_successor_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is gone because another took its place."""
    async with cache(tmp_path) as made:
        made.put(key("/a"), entry(made, "/a", b"x" * (2 * MIB)), NONE, 0)
    async with cache(tmp_path) as made:

        async def replaced() -> None:
            made.put(key("/a"), entry(made, "/a", b"y" * (2 * MIB)), NONE, 0)
            await made.disk.settled()

        meanwhile(made, monkeypatch, replaced)
        await made.find(key("/a"), NONE)
    async with cache(tmp_path) as again:
        assert content((await again.find(key("/a"), NONE))[1]) == b"y" * (2 * MIB)
        made_bad = again.disk.files.iterdir()
        again.drop(key("/a"))
        next(made_bad).write_bytes(b"short")
        assert await again.disk.load(key("/a")) is None
        await again.disk.settled()
        assert len(again.disk) == 0


async def test_memory_holds_no_file_that_went_while_it_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writing thread has seen that nobody holds it; before it is gone somebody who had read its row does."""
    async with cache(tmp_path) as made:
        made.put(key("/a"), entry(made, "/a", b"x" * (2 * MIB)), NONE, 0)
    async with cache(tmp_path) as made:
        await made.disk.settled()
        going, found, unlink = threading.Event(), threading.Event(), Path.unlink

        def late(path: Path, missing_ok: bool = False) -> None:
            going.set()
            assert found.wait(20)
            unlink(path, missing_ok)

        async def let_go() -> None:
            monkeypatch.setattr(Path, "unlink", late)
            made.disk.remove(key("/a"))
            assert await asyncio.to_thread(going.wait, 20)

        meanwhile(made, monkeypatch, let_go)
        assert (await made.find(key("/a"), NONE))[1] is not None
        found.set()
        await made.disk.settled()
        assert made.get(key("/a")) is None


async def test_of_an_object_that_was_invalidated_the_successor_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where memory has let it go by then."""
    async with cache(tmp_path) as made:
        made.put(key("/a"), entry(made, "/a", b"old"), NONE, 0)
        await made.disk.settled()
        made.drop(key("/a"))

        async def invalidated() -> None:
            await made.invalidate("E1", ["/a"])
            made.put(key("/a"), entry(made, "/a", b"new"), NONE, 0)
            await made.disk.settled()
            made.drop(key("/a"))

        meanwhile(made, monkeypatch, invalidated)
        assert (await made.find(key("/a"), NONE))[1] is None
        assert content((await made.find(key("/a"), NONE))[1]) == b"new"


@pytest.mark.parametrize("damage", ["garbage", "version", "gone"])
async def test_a_damaged_index_is_a_cold_cache(tmp_path: Path, damage: str) -> None:
    async with cache(tmp_path) as made:
        made.put(key("/a"), entry(made, "/a", b"x" * (2 * MIB)), NONE, 0)
    if damage == "garbage":
        (tmp_path / "index.sqlite").write_bytes(b"no database at all" * 1000)
    elif damage == "version":
        apsw.Connection(str(tmp_path / "index.sqlite")).execute("PRAGMA user_version = 99")
    else:
        erase(tmp_path)
    async with cache(tmp_path) as again:
        assert (await again.find(key("/a"), NONE))[1] is None
        again.put(key("/a"), entry(again, "/a", b"new"), NONE, 0)
        await again.disk.settled()
        assert len(again.disk) == 1
        assert list(again.disk.files.iterdir()) == []


async def test_a_disk_that_fails_brings_nothing_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with cache(tmp_path) as made:
        made.put(key("/a"), entry(made, "/a", b"old"), NONE, 0)
        made.put(key("/big"), entry(made, "/big", b"x" * (2 * MIB)), NONE, 0)
        await made.disk.settled()
        whole = Rows.insert
        monkeypatch.setattr(Rows, "insert", _full)
        made.put(key("/a"), entry(made, "/a", b"new"), NONE, 0)  # replaces what lies there, and cannot be written
        await made.disk.settled()
        monkeypatch.setattr(Rows, "insert", whole)
        assert content(made.get(key("/a"))) == b"new"
        made.drop(key("/a"))
        assert (await made.find(key("/a"), NONE))[1] is None
        made.put(key("/b"), entry(made, "/b", b"fine again"), NONE, 0)
    async with cache(tmp_path) as again:
        assert content((await again.find(key("/b"), NONE))[1]) == b"fine again"
        assert [(await again.find(key(name), NONE))[1] for name in ("/a", "/big")] == [None, None]
        await again.disk.settled()
        assert list(again.disk.files.iterdir()) == []


def _full(_: Rows, __: object) -> None:
    raise apsw.FullError("database or disk is full")


WRITER = """
import asyncio, random, sys
from pathlib import Path
from littoral.edge.cache import Cache
from tests.edge.test_disk import NONE, body_of, entry, key, MIB

async def main(folder, seed):
    made, chance = Cache(folder, 4 * MIB, 24 * MIB), random.Random(seed)
    for turn in range(100_000):
        name = f"/{chance.randrange(40)}"
        made.put(key(name), entry(made, name, body_of(chance, seed * 100_000 + turn)), NONE, 0)
        if turn % 20 == 19:
            name = f"/{chance.randrange(40)}"
            await made.invalidate("E1", [name])
            print(name, seed * 100_000 + turn, flush=True)  # durable from here on
        await asyncio.sleep(0)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def body_of(chance: random.Random, turn: int) -> bytes:
    """A body that says which turn made it, and that it is whole."""
    filler = (b"%d " % turn) * chance.choice((1, 100, 10_000, 200_000))
    return hashlib.sha256(filler).digest() + filler


async def test_no_torn_body_and_nothing_invalidated_after_kill_9(tmp_path: Path) -> None:
    invalidated: dict[str, int] = {}
    for seed in range(1, 5):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(seed)]
        root = Path(__file__).parents[2]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as writer:
            assert writer.stdout is not None
            for _ in range(3 * seed):
                name, turn = writer.stdout.readline().split()
                invalidated[name] = int(turn)
            os.kill(writer.pid, signal.SIGKILL)
            for line in writer.stdout:
                if line.endswith("\n"):
                    invalidated[line.split()[0]] = int(line.split()[1])
        async with cache(tmp_path) as made:
            whole = 0
            for name in (f"/{number}" for number in range(40)):
                body = content((await made.find(key(name), NONE))[1])
                if body is None:
                    continue
                assert hashlib.sha256(body[32:]).digest() == body[:32], name
                assert int(body[32:].split()[0]) > invalidated.get(name, -1), name
                whole += 1
            assert whole > 5  # warm
            await made.disk.settled()
            assert len(list(made.disk.files.iterdir())) <= len(made.disk)


async def test_an_edge_location_is_warm_after_a_restart(tmp_path: Path) -> None:
    def respond(request: Any) -> Response:
        if request.headers.get("if-none-match") == '"1"':
            return answer(b"", 304, etag='"1"', cache_control="max-age=60")
        return answer(request.target.encode() * 400_000, etag='"1"', cache_control="max-age=60")

    async with edge(tmp_path) as first:
        first.origin.respond = respond
        expected = {target: (await first.get(target)).body for target in ("/a", "/bcd")}
    async with edge(tmp_path) as second:
        second.origin.respond = respond
        for target, body in expected.items():
            reply = await second.get(target)
            assert (reply.headers["x-cache"], reply.body == body) == ("Hit from cloudfront", True)
        assert second.origin.asked == []
        second.clock.ahead = 61
        assert (await second.get("/a")).headers["x-cache"] == "RefreshHit from cloudfront"
    async with edge(tmp_path) as third:
        third.clock.ahead = 90
        assert (await third.get("/a")).headers["x-cache"] == "Hit from cloudfront"  # the refreshed head was kept


async def test_what_is_fresh_for_a_moment_is_not_written(place: Edge) -> None:
    place.policies["zero"] = cache_policy(0)
    place.configure(behaviour={"CachePolicyId": "zero"})
    place.origin.respond = lambda _: answer(b"x", cache_control="max-age=2")
    await place.get("/a")
    await place.pipeline.cache.disk.settled()
    assert len(place.pipeline.cache.disk) == 0


def test_while_a_commit_waits_for_the_disk_other_threads_run(tmp_path: Path) -> None:
    """What it waits for here is another thread, which can only end its own transaction if it runs meanwhile."""
    reading, writing = (apsw.Connection(str(tmp_path / "a.sqlite")) for _ in range(2))
    writing.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    writing.set_busy_timeout(5_000)
    reading.execute("BEGIN; SELECT a FROM t").fetchall()
    committing = threading.Event()

    def end() -> None:
        committing.wait()
        time.sleep(0.05)  # the commit has begun to wait
        reading.execute("COMMIT")

    other = threading.Thread(target=end)
    other.start()
    try:
        with committed(writing):
            writing.execute("INSERT INTO t VALUES (2)")
            committing.set()
    finally:
        committing.set()
        other.join()
    assert writing.execute("SELECT count(*) FROM t").fetchall() == [(2,)]


def test_what_fails_in_a_transaction_is_taken_back(tmp_path: Path) -> None:
    db = apsw.Connection(str(tmp_path / "a.sqlite"))
    db.execute("CREATE TABLE t (a)")
    with pytest.raises(KeyError), committed(db):
        db.execute("INSERT INTO t VALUES (1)")
        raise KeyError
    assert not db.in_transaction
    assert db.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
