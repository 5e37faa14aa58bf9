"""kill -9 of a stream manager while it takes appends and exports: nothing acknowledged is lost, all in order."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.core.test_streammanager import records
from tests.core.world import CORE, RegionPlace, until

sdk = pytest.importorskip("stream_manager", reason="AWS's SDK: pip install --no-deps stream-manager")

BATCH = 20


@contextmanager
def running(folder: Path, device_port: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "tests.core.crashing_streams", str(folder), str(device_port), CORE]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)


class Appender:
    """Appends numbers, from one on, until its server is gone."""

    def __init__(self, first: int) -> None:
        self.acknowledged = first  # numbers below this

    def append(self, port: int, count: int, enough: threading.Semaphore) -> None:
        quiet = logging.getLogger("quiet")
        quiet.disabled = True
        client = sdk.StreamManagerClient(port=port, logger=quiet, connect_timeout=30, request_timeout=30)
        try:
            if not client.list_streams():
                up = sdk.KinesisConfig(identifier="up", kinesis_stream_name="readings", batch_size=BATCH)
                overwrite = sdk.StrategyOnFull.OverwriteOldestData
                exports = sdk.ExportDefinition(kinesis=[up])
                client.create_message_stream(
                    sdk.MessageStreamDefinition(name="a", strategy_on_full=overwrite, export_definition=exports)
                )
            for _ in range(count):
                client.append_message("a", b"%d" % self.acknowledged)
                self.acknowledged += 1
                enough.release()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, sdk.StreamManagerException):
            return


async def test_what_was_acknowledged_is_exported_in_order_after_kill_9(region: RegionPlace, tmp_path: Path) -> None:
    folder = tmp_path / "core"
    folder.mkdir()
    certificate, key = await region.core_identity()
    for name, content in (("certificate", certificate), ("key", key), ("ca", region.authority.certificate_pem)):
        (folder / name).write_bytes(content)
    await region.role_alias()
    await region.call("kinesis", "create_stream", StreamName="readings", ShardCount=1)

    def crash(first: int, kill_after: int) -> int:
        """The first number that was not acknowledged."""
        appender = Appender(first)
        with running(folder, region.device_port) as (process, port):
            enough = threading.Semaphore(0)
            thread = threading.Thread(target=appender.append, args=(port, 10_000, enough), daemon=True)
            thread.start()
            for _ in range(kill_after):
                assert enough.acquire(timeout=30)
            process.kill()
            process.wait(60)
        return appender.acknowledged  # its last append waits for the SDK's patience; nobody waits for it

    kills = (3, 70, 200)
    wanted = 0
    for each in kills:
        wanted = await asyncio.to_thread(crash, wanted, each)
    assert wanted >= sum(kills)

    with_server = running(folder, region.device_port)
    _, _ = await asyncio.to_thread(with_server.__enter__)
    try:
        found = await until(lambda: enough_of(region, wanted), 40.0)
    finally:
        await asyncio.to_thread(with_server.__exit__, None, None, None)
    once = list(dict.fromkeys(found))
    assert [int(each) for each in once][:wanted] == sorted(int(each) for each in once)[:wanted]
    assert {b"%d" % number for number in range(wanted)} <= set(once)
    # an append that was durable, its acknowledgement not seen, is appended again by its sender; a batch that was
    # taken and not yet noted is sent again: nothing else comes twice
    assert len(found) - len(once) <= len(kills) * (BATCH + 2)


async def enough_of(region: RegionPlace, wanted: int) -> Any:
    found = await records(region)
    return found if b"%d" % (wanted - 1) in found else None
