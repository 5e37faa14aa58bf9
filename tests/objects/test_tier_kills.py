"""A place with a tier is killed at each step of its way up and down: at every moment somebody has the bytes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from littoral.store.remote.far import Credentials
from tests.objects.pairs import Endpoint, Pair, completed, replicate, rule, versioned
from tests.objects.tierstep import DOWN, UP, opened

REPLICATED = 3
ABOVE = {  # how many have gone when it is killed; files go while the next one is asked for
    "above has it": {0},
    "row written": {1},
    "file going": {1, 2, 3},
    "file gone": {1, 2, 3},
    "bytes coming": {3},
    "bytes here": {3},
    "file back": {3},
    "row removed": {2},
}


def test_no_step_leaves_nobody_with_the_bytes(pair: Pair, tmp_path: Path) -> None:
    s3, bucket, alone = pair.near, versioned(pair.near), versioned(pair.near)
    replicate(s3, bucket, rule("elsewhere"))
    bodies = {f"{bucket}/{number}": os.urandom(300_000 + number) for number in range(REPLICATED)}
    for key, body in bodies.items():
        sealed = {"ServerSideEncryption": "AES256"} if key.endswith("0") else {}
        s3.put_object(Bucket=bucket, Key=key, Body=body, **sealed)
    s3.put_object(Bucket=alone, Key="only", Body=b"only copy" * 10_000)
    for key in bodies:
        completed(s3, bucket, key)
    shutil.copytree(pair.place.folder, tmp_path / "whole")
    there = pair.objects.tier.far["elsewhere"]._place  # type: ignore[attr-defined]
    keys: Credentials = there.credentials()
    words = (str(tmp_path), there.url, keys.key, keys.secret)
    done = subprocess.run(
        [sys.executable, "-m", "tests.objects.tierstep", *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    ended = dict(line.split(":") for line in done.stdout.splitlines())
    assert ended == dict.fromkeys([*UP, *DOWN], str(-signal.SIGKILL))
    for step in ended:
        above = asyncio.run(_above(tmp_path / step, there, bodies, bucket, alone))
        assert above in ABOVE[step], step


async def _above(folder: Path, there: Endpoint, bodies: dict[str, bytes], bucket: str, alone: str) -> int:
    """How many are above only. All are read."""
    async with opened(folder, there) as objects:
        assert await objects.get_bytes(alone, "only") == b"only copy" * 10_000
        above = 0
        for key, body in bodies.items():
            (piece,) = objects._index.get(bucket, key).content.pieces
            away = objects._index.away(piece.blob) is not None
            assert away or await objects._shelf._blobs.info(piece.blob) is not None
            above += away
            assert await objects.get_bytes(bucket, key) == body
        return above
