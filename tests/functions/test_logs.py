"""Log groups: bounded, read back in order, and whole after a torn end."""

from __future__ import annotations

from pathlib import Path

import pytest

from littoral.functions.logs import TAIL, InvocationLog, Logs
from littoral.functions.outcome import exit_words, report_line


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
    warm = report_line("r", duration=0.0101, memory_size=128, memory_kib=32769, init=None)
    assert warm == f"REPORT RequestId: r\tDuration: 10.10 ms\t{billed}"
    cold = report_line("r", duration=0.0101, memory_size=128, memory_kib=1, init=0.0015)
    assert cold.endswith("Billed Duration: 12 ms\tMemory Size: 128 MB\tMax Memory Used: 1 MB\tInit Duration: 1.50 ms\t")
