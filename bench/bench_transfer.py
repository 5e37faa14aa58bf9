"""How quickly a folder gets into a bucket: small files a second, large files against a plain copy, and ``aws s3 sync``.

Place, transfer and peer are processes on this machine, so they share its processors; the ratios of one run count.
"""

from __future__ import annotations

import configparser
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from littoral.drills.cpu import spent
from littoral.tour.places import PlaceProcess

SMALL, SMALL_SIZE = 5000, 2048
LARGE, LARGE_SIZE = 4, 128 * 1024 * 1024
PORTS = ("--port", "0", "--mqtt-port", "off", "--mqtt-tls-port", "off")


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="littoral-bench-"))
    region = PlaceProcess("bench", "region", folder / "region", PORTS, {})
    try:
        region.wait_ready()
        _measure(folder, region)
    finally:
        region.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _measure(folder: Path, region: PlaceProcess) -> None:
    url = region.urls["api"]
    small = _files(folder / "small", SMALL, SMALL_SIZE)
    large = _files(folder / "large", LARGE, LARGE_SIZE)
    env = {**os.environ, **_keys(folder / "region"), "AWS_ENDPOINT_URL": url, "XDG_STATE_HOME": str(folder)}
    for bucket in ("small-ours", "small-aws", "large-ours", "large-aws"):
        _aws("s3", "mb", f"s3://{bucket}", env=env)
    before = spent(region.pid), _children()
    ours = _timed(lambda: _transfer(small, "s3://small-ours", url, env))
    place, client = (after - began for after, began in zip((spent(region.pid), _children()), before, strict=True))
    theirs = _timed(lambda: _sync(small, "s3://small-aws", env))
    print(f"small files ({SMALL} of {SMALL_SIZE} bytes): {SMALL / ours:8.0f} a second")
    print(f"  processor time each: place {place / SMALL * 1e6:.0f} µs, client {client / SMALL * 1e6:.0f} µs")
    print(f"  aws s3 sync:                          {SMALL / theirs:8.0f} a second, ratio {theirs / ours:.1f}")
    volume = LARGE * LARGE_SIZE / 1e6
    copied = _timed(lambda: _copy(large, folder / "copy"))
    ours = _timed(lambda: _transfer(large, "s3://large-ours", url, env))
    theirs = _timed(lambda: _sync(large, "s3://large-aws", env))
    print(f"large files ({volume:.0f} MB):                 {volume / ours:8.0f} MB/s")
    print(f"  copied and synced to the same disk:   {volume / copied:8.0f} MB/s, ratio {copied / ours:.2f}")
    print(f"  aws s3 sync:                          {volume / theirs:8.0f} MB/s, ratio {theirs / ours:.1f}")


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _files(folder: Path, count: int, size: int) -> Path:
    for number in range(count):
        file = folder / f"{number % 50}" / f"{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(size))
    return folder


def _keys(place: Path) -> dict[str, str]:
    kept = configparser.ConfigParser()
    kept.read(place / "credentials")
    own = kept["default"]
    return {
        "AWS_ACCESS_KEY_ID": own["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": own["aws_secret_access_key"],
        "AWS_DEFAULT_REGION": own["region"],
    }


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _transfer(folder: Path, bucket: str, url: str, env: dict[str, str]) -> None:
    _run([sys.executable, "-m", "littoral", "box", "transfer", str(folder), bucket, "--endpoint", url], env)


def _sync(folder: Path, bucket: str, env: dict[str, str]) -> None:
    _aws("s3", "sync", "--only-show-errors", str(folder), bucket, env=env)


def _aws(*words: str, env: dict[str, str]) -> None:
    _run([sys.executable, "-m", "awscli", *words], env)


def _run(command: list[str], env: dict[str, str]) -> None:
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _copy(source: Path, target: Path) -> None:
    """Each file durable, as objects are."""
    for file in source.rglob("*"):
        if file.is_file():
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
            with copy.open("rb") as written:
                os.fsync(written.fileno())


if __name__ == "__main__":
    main()
