"""How quickly a folder gets into a bucket: small files a second, large files against a plain copy, and other clients.

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
RCLONE = {
    "TYPE": "s3",
    "PROVIDER": "Other",
    "ENV_AUTH": "true",
    "NO_CHECK_BUCKET": "true",
    "ACL": "bucket-owner-full-control",
}
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
    env = {**os.environ, **_keys(folder / "region"), "AWS_ENDPOINT_URL": url, "XDG_STATE_HOME": str(folder)}
    env |= {f"RCLONE_CONFIG_HERE_{name}": value for name, value in RCLONE.items()} | {
        "RCLONE_CONFIG_HERE_ENDPOINT": url
    }
    _small(folder, region, env)
    large = _files(folder / "large", LARGE, LARGE_SIZE)
    volume = LARGE * LARGE_SIZE / 1e6
    for bucket in ("large-ours", "large-aws"):
        _aws("s3", "mb", f"s3://{bucket}", env=env)
    copied = _timed(lambda: _copy(large, folder / "copy"))
    ours, place, client = _costs(region, lambda: _transfer(str(large), "s3://large-ours", url, env))
    theirs = _timed(lambda: _sync(large, "s3://large-aws", env))
    print(f"large files ({volume:.0f} MB):                 {volume / ours:8.0f} MB/s")
    gigabytes = volume / 1000
    print(f"  processor time a GB: place {place / gigabytes:.2f} s, client {client / gigabytes:.2f} s")
    print(f"  copied and synced to the same disk:   {volume / copied:8.0f} MB/s, ratio {copied / ours:.2f}")
    print(f"  aws s3 sync:                          {volume / theirs:8.0f} MB/s, ratio {theirs / ours:.1f}")


def _small(folder: Path, region: PlaceProcess, env: dict[str, str]) -> None:
    url = region.urls["api"]
    small = _files(folder / "small", SMALL, SMALL_SIZE)
    for bucket in ("small-ours", "small-again", "small-aws", "small-rclone"):
        _aws("s3", "mb", f"s3://{bucket}", env=env)

    def told(name: str, work: Callable[[], None]) -> float:
        took, place, client = _costs(region, work)
        costs = f"processor time each: place {place / SMALL * 1e6:4.0f} µs, client {client / SMALL * 1e6:4.0f} µs"
        print(f"  {name:38}{SMALL / took:8.0f} a second; {costs}")
        return took

    print(f"small files ({SMALL} of {SMALL_SIZE} bytes)")
    ours = told("littoral box transfer:", lambda: _transfer(str(small), "s3://small-ours", url, env))
    told("the same of nothing but its start:", lambda: _transfer(str(_empty(folder)), "s3://small-ours", url, env))
    told("from a bucket, as import and export:", lambda: _transfer("s3://small-ours", "s3://small-again", url, env))
    theirs = {
        "cp -r and sync": told("cp -r and sync:", lambda: _copied(small, folder / "small-copy", env)),
        "aws s3 sync": told("aws s3 sync:", lambda: _sync(small, "s3://small-aws", env)),
    }
    if shutil.which("rclone"):
        words = ["rclone", "copy", "--transfers", "16", str(small), "here:small-rclone"]
        plain = {name: value for name, value in env.items() if name != "AWS_CA_BUNDLE"}  # with it rclone does not start
        theirs["rclone"] = told("rclone copy, 16 at once:", lambda: _run(words, plain))
    print("  ratios of their times to ours: " + ", ".join(f"{name} {took / ours:.1f}" for name, took in theirs.items()))


def _costs(region: PlaceProcess, work: Callable[[], None]) -> tuple[float, float, float]:
    """Seconds that it takes, and those of processors: the place's and its clients'."""
    before = spent(region.pid), _children()
    took = _timed(work)
    place, client = (after - began for after, began in zip((spent(region.pid), _children()), before, strict=True))
    return took, place, client


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


def _empty(folder: Path) -> Path:
    made = folder / "empty"
    made.mkdir()
    return made


def _transfer(source: str, bucket: str, url: str, env: dict[str, str]) -> None:
    _run([sys.executable, "-m", "littoral", "box", "transfer", source, bucket, "--endpoint", url], env)


def _copied(source: Path, target: Path, env: dict[str, str]) -> None:
    _run(["sh", "-c", 'cp -r "$0" "$1" && sync -f "$1"', str(source), str(target)], env)


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
