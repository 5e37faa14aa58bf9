"""Log groups: bounded, read back in order, and whole after a torn end."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.functions.logs import TAIL, Event, InvocationLog, Logs
from littoral.functions.logs.group import Group, Query, Settings
from littoral.functions.logs.segment import Entry, plain
from littoral.functions.logs.store import NoGroup
from littoral.functions.outcome import billed_ms, exit_words, report_line
from littoral.store.contract import StorageFailed


def _logs(folder: Path, now: list[float], size: int = 100_000) -> Logs:
    return Logs(folder, clock=lambda: now[0], bytes_per_group=size)


async def test_lines_come_back_in_order_by_time_and_stream(tmp_path: Path) -> None:
    now = [100.0]
    logs = _logs(tmp_path, now)
    for number in range(5):
        now[0] += 1
        logs.append("/aws/lambda/f", f"s{number % 2}", f"line {number} ä\r".encode(), b"")
    events = await logs.read("/aws/lambda/f")
    assert [event.message for event in events if event.message] == [f"line {n} ä\r" for n in range(5)]
    assert len(events) == 10
    assert {e.stream for e in await logs.read("/aws/lambda/f", stream="s1")} == {"s1"}
    assert [e.timestamp for e in await logs.read("/aws/lambda/f", since=104.0)] == [104000, 104000, 105000, 105000]
    assert len(await logs.read("/aws/lambda/f", limit=3)) == 3
    assert await logs.read("/aws/lambda/g") == []
    assert await logs.groups() == ["/aws/lambda/f"]
    await logs.close()


async def test_a_group_keeps_the_latest_and_stays_within_its_bytes(tmp_path: Path) -> None:
    logs = _logs(tmp_path, [1.0], size=10_000)
    for number in range(1000):
        logs.append("g", "s", b"x" * 50 + b" %d" % number)
        if number % 7 == 0:
            await logs.flush()
    events = await logs.read("g")
    numbers = [int(event.message.split(" ")[1]) for event in events]
    assert numbers == list(range(numbers[0], 1000)) and len(numbers) > 70
    assert sum(file.stat().st_size for file in tmp_path.rglob("*.log")) <= 10_000
    await logs.close()


async def test_no_line_makes_no_group_and_loses_nobody_elses(tmp_path: Path) -> None:
    """A handler prints the first part of its first line and goes on working."""
    logs = _logs(tmp_path, [1.0])
    InvocationLog(logs, "/new", "s", 1000).printed(b"the first part")
    logs.append("/old", "s", b"kept")
    await logs.flush()
    assert [event.message for event in await logs.read("/old")] == ["kept"]
    assert await logs.read("/new") == []
    await logs.close()


async def test_a_torn_line_spoils_no_other(tmp_path: Path) -> None:
    logs = _logs(tmp_path, [1.0])
    logs.append("g", "s", b"whole")
    await logs.close()
    with next(tmp_path.rglob("*.log")).open("ab") as file:
        file.write(b"2000 2000 s to")
    again = _logs(tmp_path, [3.0])
    again.append("g", "s", b"after")
    assert [event.message for event in await again.read("g")] == ["whole", "after"]
    await again.close()


async def test_an_invocations_output_is_split_bounded_and_tailed(tmp_path: Path) -> None:
    logs = _logs(tmp_path, [1.0])
    record = InvocationLog(logs, "g", "s", 1000)
    record.lines("START")
    for part in (b"on", b"e\ntwo\n\nthr", b"ee"):
        record.printed(part)
    record.printed(b"y" * 2000)
    record.lines("END", "REPORT")
    messages = [event.message for event in await logs.read("g")]
    assert messages[:4] == ["START", "one", "two", ""]
    assert messages[4] == "three" + "y" * (1000 - len("one\ntwo\n\nthree"))
    assert messages[5] == "[littoral] 1014 bytes of log beyond the limit were dropped"
    assert messages[6:] == ["END", "REPORT"]
    assert record.tail.decode() == "".join(message + "\n" for message in messages)[-TAIL:]
    await logs.close()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, ""),
        (256, "exit status 1"),
        (9, "signal: killed"),
        (11 | 0x80, "signal: segmentation fault"),
        (-1, "signal: killed"),
    ],
)
def test_wait_statuses_are_named_as_lambda_names_them(status: int, words: str) -> None:
    assert exit_words(status) == words


def test_a_report_bills_whole_milliseconds_and_the_init_phase() -> None:
    billed = "Billed Duration: 11 ms\tMemory Size: 128 MB\tMax Memory Used: 33 MB\t"
    warm = report_line("r", duration=0.0101, billed=11, memory_size=128, memory_kib=32769, init=None)
    assert warm == f"REPORT RequestId: r\tDuration: 10.10 ms\t{billed}"
    billed_cold = billed_ms(0.0101, 0.0015)
    cold = report_line("r", duration=0.0101, billed=billed_cold, memory_size=128, memory_kib=1, init=0.0015)
    assert cold.endswith("Billed Duration: 12 ms\tMemory Size: 128 MB\tMax Memory Used: 1 MB\tInit Duration: 1.50 ms\t")


async def test_a_full_disk_takes_nothing_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = _logs(tmp_path, [1.0], size=4000)
    await logs.create(Settings("g", 1000))
    await logs.put("g", [Entry(1000, 1000, "s", b"before")])

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageFailed):
            await logs.put("g", [Entry(1000, 1000, "s", b"x" * 100) for _ in range(20)])
        with pytest.raises(StorageFailed):
            await logs.change("g", lambda settings: settings.tags.update(a="b"))
    await logs.put("g", [Entry(1000, 1000, "s", b"after")])
    assert [event.message for event in await logs.read("g")] == ["before", "after"]
    assert await logs.on("g", lambda group: group.settings.tags) == {}
    await logs.close()
    again = _logs(tmp_path, [1.0], size=4000)
    assert [event.message for event in await again.read("g")] == ["before", "after"]
    await again.close()


async def test_a_deleted_group_takes_what_waited_and_is_made_anew(tmp_path: Path) -> None:
    logs = _logs(tmp_path, [1.0])
    logs.append("g", "s", b"waiting")
    await logs.delete("g")
    assert await logs.groups() == [] and list(tmp_path.iterdir()) == []
    with pytest.raises(NoGroup):
        await logs.delete("g")
    logs.append("g", "s", b"again")
    assert [event.message for event in await logs.read("g")] == ["again"]
    await logs.close()


async def test_large_answers_come_in_pages_of_a_mebibyte(tmp_path: Path) -> None:
    logs = _logs(tmp_path, [1.0], size=20_000_000)
    logs.append("g", "s", *(b"%02d" % number + b"x" * 100_000 for number in range(25)))
    seen: list[str] = []
    after = None
    while True:
        page = await logs.select("g", Query(after=after))
        assert sum(len(event.message) for event in page.events) <= 1_048_576
        seen += [event.message[:2] for event in page.events]
        if not page.more:
            break
        after = page.events[-1].key
    assert seen == [f"{number:02d}" for number in range(25)]
    await logs.close()


@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from("ab"), st.integers(0, 9)), max_size=60),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(1, 7),
    st.sampled_from([None, "a", "zz"]),
    st.booleans(),
)
def test_pages_are_what_sorting_everything_would_give(
    events: list[tuple[int, str, int]], start: int, end: int, limit: int, stream: str | None, newest: bool
) -> None:
    """Whatever the order of coming, the files and the size of pages."""
    with tempfile.TemporaryDirectory() as folder:
        group = Group(Path(folder) / "g", Settings("g", 0), 100_000)
        group._bytes = 8 * 200  # many small files; ``append`` would drop the oldest
        group.save()
        for time, name, number in events:
            placed = list(group._placed([Entry(time, 0, name, b"%d" % number).alone()]))
            for segment, some, encoded in placed:
                segment.append(some, encoded, durable=False)
        streams = None if stream is None else frozenset((stream,))
        found: list[Event] = []
        key = None
        while True:
            edge = {"before": key} if newest else {"after": key}
            page = group.select(Query(start, end, streams, newest=newest, limit=limit, **edge), 0)  # type: ignore[arg-type]
            assert len(page.events) <= limit
            found = page.events + found if newest else found + page.events
            if not page.more:
                break
            key = page.events[0 if newest else -1].key
        wanted = [each for each in events if start <= each[0] <= end and stream in (None, each[1])]
        wanted.sort(key=lambda each: each[0])
        assert [(each.timestamp, each.stream, int(each.message)) for each in found] == wanted
        again = Group.load(group.folder, 100_000)
        assert again.select(Query(), 0).events == group.select(Query(), 0).events


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from("ab"), st.lists(st.binary(max_size=12), min_size=1, max_size=5)),
        max_size=12,
    )
)
def test_lines_of_one_moment_are_written_as_each_would_be(some: list[tuple[int, str, list[bytes]]]) -> None:
    """Whatever the messages hold, and however files are filled."""
    with tempfile.TemporaryDirectory() as folder:
        together, apart = (Group(Path(folder) / name, Settings("g", 0), 8 * 4096) for name in ("together", "apart"))
        for group in (together, apart):
            group.save()
        together.append([(time, 0, name, plain(messages)) for time, name, messages in some], durable=False)
        for time, name, messages in some:
            for message in messages:
                apart.append([Entry(time, 0, name, message).alone()], durable=False)
        events = [group.select(Query(), 0).events for group in (together, apart)]
        assert events[0] == events[1]
        assert [each.message for each in events[0]] == [
            message.replace(b"\xff", "\ufffd".encode()).decode("utf-8", "replace")
            for _, _, messages in sorted(some, key=lambda each: each[0])
            for message in messages
        ]
