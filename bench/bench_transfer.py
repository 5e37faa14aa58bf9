"""How quickly a folder gets into a bucket: small files a second, large files against their disk, and other clients.

    .venv/bin/python bench/bench_transfer.py              # small files, large ones, and jobs; each takes about a minute
    .venv/bin/python bench/bench_transfer.py large 8 3    # large files only, of 8 GB in all, three times; or ``jobs``

Place, transfer and peer are processes on this machine, so they share its processors; the ratios of one run count. Large
files go once more where place and client have processors of their own, as two machines have them: at either end of a
loopback connection the kernel wakes who reads on the processor of who writes, and another one stands idle.
Large files go out of the disk into a region (HTTP) and into a box (sealed on its disk; over TLS in wide records); jobs
are a region that reads its box (``littoral box import``) and fills another (``export``). Each is held against what else
one would do on that disk: a copy of the same files out of it, each with fsync, right before and right after; the
quicker copy counts. A few GB fit where the disk's other end keeps them; 8 are nearer to what a box is for.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from jobbox import JobBox
from littoral.drills.cpu import spent
from littoral.tour.places import PlaceProcess

SMALL, SMALL_SIZE = 5000, 2048
LARGE_SIZE = 128 * 1024 * 1024
VOLUME = 4.0  # GB of large files
AWS = 4  # of them go by ``aws s3 sync``
RCLONE = {
    "TYPE": "s3",
    "PROVIDER": "Other",
    "ENV_AUTH": "true",
    "NO_CHECK_BUCKET": "true",
    "ACL": "bucket-owner-full-control",
}
PORTS = ("--port", "0", "--mqtt-port", "off", "--mqtt-tls-port", "off")


def main(which: str = "", volume: float = VOLUME, rounds: int = 1) -> None:
    folder = Path(tempfile.mkdtemp(prefix="littoral-bench-"))
    env = {**os.environ, "XDG_STATE_HOME": str(folder)}
    try:
        with ExitStack() as cleanup:
            region = PlaceProcess("bench", "region", folder / "region", PORTS, {})
            cleanup.callback(region.stop)
            region.wait_ready()
            end = End(region, region.urls["api"], env | _keys(folder / "region"))
            count = round(volume * 1e9 / LARGE_SIZE)
            if which in ("", "small"):
                _small(folder, end, cleanup)
            if which in ("", "large"):
                _large(folder, end, count, rounds, cleanup)
            if which in ("", "jobs"):
                _jobs(folder, end, count, rounds, cleanup)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class End:
    """Where files are sent."""

    place: PlaceProcess
    url: str
    env: dict[str, str]  # of its clients
    ca: tuple[str, ...] = ()  # their option


def _box(kind: str, bucket: str, region: End, folder: Path, cleanup: ExitStack) -> tuple[JobBox, End]:
    """Of a job for that bucket, unlocked."""
    made = JobBox(region.place, kind, bucket, folder, region.env, PORTS, cleanup)
    return made, End(
        made.place, made.url, region.env | made.keys | {"AWS_CA_BUNDLE": str(made.ca)}, ("--ca", str(made.ca))
    )


def _large(folder: Path, region: End, count: int, rounds: int, cleanup: ExitStack) -> None:
    """A folder of the disk into a region and into a box; each beside the place, and with processors of its own."""
    beside = Beside(folder, _files(folder / "large", count, LARGE_SIZE), count)
    _aws("s3", "mb", "s3://large", end=region)
    _, box = _box("IMPORT", "large", region, folder / "box", cleanup)
    for number in range(rounds):
        for name, end in (("region", region), ("box", box)):
            for how in ("", ", apart"):
                bucket = f"s3://{name}-{number}{'-apart' if how else ''}"
                _aws("s3", "mb", bucket, end=end)
                with _apart(end.place.pid) if how else nullcontext():
                    work = partial(_transfer, str(beside.files), bucket, end)
                    beside.told(f"littoral box transfer, {name}{how}:", (end,), work)
                _aws("s3", "rb", "--force", bucket, end=end)
    beside.summed_up()
    few = _some(beside.files, folder / "few", AWS)
    _aws("s3", "mb", "s3://large-aws", end=region)
    theirs = AWS * LARGE_SIZE / 1e6 / _timed(lambda: _sync(few, "s3://large-aws", region))
    print(f"  {f'aws s3 sync into a region, {AWS} of them:':40}{theirs:8.0f} MB/s")


def _jobs(folder: Path, region: End, count: int, rounds: int, cleanup: ExitStack) -> None:
    """A region reads a box, and fills another; each beside it, and with processors of its own."""
    beside = Beside(folder, _files(folder / "jobs", count, LARGE_SIZE), count)
    for number in range(rounds):
        for how in ("", ", apart"):
            bucket = f"jobs-{number}{'-apart' if how else ''}"
            _aws("s3", "mb", f"s3://{bucket}", end=region)
            for kind in ("IMPORT", "EXPORT"):
                made, box = _box(kind, bucket, region, folder / f"{kind}-{bucket}", cleanup)
                if kind == "IMPORT":
                    _aws("s3", "mb", f"s3://{bucket}", end=box)
                    _transfer(str(beside.files), f"s3://{bucket}", box)
                    made.travels()
                with _apart(box.place.pid, region.place.pid) if how else nullcontext():
                    work = made.read if kind == "IMPORT" else made.fill
                    beside.told(f"littoral box {kind.lower()}{how}:", (region, box), work)
                made.place.stop()
                shutil.rmtree(folder / f"{kind}-{bucket}")
            _aws("s3", "rb", "--force", f"s3://{bucket}", end=region)
    beside.summed_up()


class Beside:
    """Holds each work against copies of the same files out of the same disk, with fsync, right before it and after it:
    the disk is slow and quick by turns."""

    def __init__(self, folder: Path, files: Path, count: int) -> None:
        self.files = files
        self._aside, self._volume = folder / "copied", count * LARGE_SIZE / 1e9
        self._ratios: dict[str, list[float]] = {}
        print(f"large files ({count} of {LARGE_SIZE / 1e6:.0f} MB, {self._volume:.1f} GB, out of the disk)")

    def told(self, name: str, ends: tuple[End, ...], work: Callable[[], None]) -> None:
        before = self._copied()
        _forget(self.files)
        took, places, client = _costs(ends, work)
        after = self._copied()
        rate = self._volume / took
        ratio = rate / max(before, after)
        self._ratios.setdefault(name, []).append(ratio)
        cost = ", ".join(f"{each / self._volume:.2f}" for each in places)
        copies = f"before {before * 1000:.0f}, after {after * 1000:.0f}"
        print(
            f"  {name:40}{rate * 1000:8.0f} MB/s; {ratio:.2f} of the copy ({copies}); "
            f"processor time a GB: place {cost} s, client {client / self._volume:.2f} s",
            flush=True,
        )

    def summed_up(self) -> None:
        print("  of a copy out of the disk, the middle (least to most):")
        for name, ratios in self._ratios.items():
            print(f"    {name:40}{median(ratios):8.2f} ({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} runs)")

    def _copied(self) -> float:
        """GB/s. What other work has left for the disk is not counted to it."""
        _forget(self.files)
        return self._volume / _timed_in(self._aside, partial(_copy, self.files))


@contextmanager
def _apart(place: int, *others: int) -> Iterator[None]:
    """The place keeps to one half of the processors; what is started here, and the ``others``, to the other."""
    every = sorted(os.sched_getaffinity(0))
    half = len(every) // 2
    _keep(place, every[:half] or every)
    for each in others:
        _keep(each, every[half:])
    os.sched_setaffinity(0, every[half:])
    try:
        yield
    finally:
        for each in (place, *others):
            _keep(each, every)
        os.sched_setaffinity(0, every)


def _keep(process: int, processors: Sequence[int]) -> None:
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), processors)


def _some(source: Path, target: Path, count: int) -> Path:
    """The first of them, linked."""
    target.mkdir()
    for file in sorted(file for file in source.rglob("*") if file.is_file())[:count]:
        (target / file.name).hardlink_to(file)
    return target


def _forget(folder: Path) -> None:
    """None of its files is in memory any more, and nothing waits to be written."""
    os.sync()
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _small(folder: Path, end: End, cleanup: ExitStack) -> None:
    small = _files(folder / "small", SMALL, SMALL_SIZE)
    for bucket in ("small-ours", "small-again", "small-job", "small-aws", "small-rclone"):
        _aws("s3", "mb", f"s3://{bucket}", end=end)

    def told(name: str, work: Callable[[], None], ends: tuple[End, ...] = (end,)) -> float:
        took, places, client = _costs(ends, work)
        cost = ", ".join(f"{place / SMALL * 1e6:4.0f} µs" for place in places)
        costs = f"processor time each: place {cost}, client {client / SMALL * 1e6:4.0f} µs"
        print(f"  {name:40}{SMALL / took:8.0f} a second; {costs}", flush=True)
        return took

    print(f"small files ({SMALL} of {SMALL_SIZE} bytes)")
    ours = told("littoral box transfer:", lambda: _transfer(str(small), "s3://small-ours", end))
    told("the same of nothing but its start:", lambda: _transfer(str(_empty(folder)), "s3://small-ours", end))
    told("from a bucket to a bucket:", lambda: _transfer("s3://small-ours", "s3://small-again", end))
    job, box = _box("IMPORT", "small-job", end, folder / "small-box", cleanup)
    _aws("s3", "mb", "s3://small-job", end=box)
    told("into a box:", lambda: _transfer(str(small), "s3://small-job", box), (box,))
    job.travels()
    told("littoral box import (region, box):", job.read, (end, box))
    job.place.stop()
    theirs = {
        "cp -r and sync": told("cp -r and sync:", lambda: _copied(small, folder / "small-copy", end.env)),
        "aws s3 sync": told("aws s3 sync:", lambda: _sync(small, "s3://small-aws", end)),
    }
    if shutil.which("rclone"):
        words = ["rclone", "copy", "--transfers", "16", str(small), "here:small-rclone"]
        told_it = {f"RCLONE_CONFIG_HERE_{name}": value for name, value in (RCLONE | {"ENDPOINT": end.url}).items()}
        env = end.env | told_it
        env.pop("AWS_CA_BUNDLE", None)  # with it rclone does not start
        theirs["rclone"] = told("rclone copy, 16 at once:", lambda: _run(words, env))
    print("  ratios of their times to ours: " + ", ".join(f"{name} {took / ours:.1f}" for name, took in theirs.items()))


def _costs(ends: Sequence[End], work: Callable[[], None]) -> tuple[float, list[float], float]:
    """Seconds that it takes, and those of processors: the places' and their clients'."""
    before, began = [spent(end.place.pid) for end in ends], _children()
    took = _timed(work)
    places = [spent(end.place.pid) - each for end, each in zip(ends, before, strict=True)]
    return took, places, _children() - began


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
    return _named(own["aws_access_key_id"], own["aws_secret_access_key"], own["region"])


def _named(access: str, secret: str, region: str) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": region}


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _timed_in(folder: Path, work: Callable[[Path], None]) -> float:
    """Of what it leaves in the folder nothing stays."""
    took = _timed(partial(work, folder))
    shutil.rmtree(folder)
    return took


def _empty(folder: Path) -> Path:
    made = folder / "empty"
    made.mkdir()
    return made


def _transfer(source: str, bucket: str, end: End, *words: str) -> None:
    asked = [source, bucket, "--endpoint", end.url, *end.ca, *words]
    _run([sys.executable, "-m", "littoral", "box", "transfer", *asked], end.env)


def _copied(source: Path, target: Path, env: dict[str, str]) -> None:
    _run(["sh", "-c", 'cp -r "$0" "$1" && sync -f "$1"', str(source), str(target)], env)


def _sync(folder: Path, bucket: str, end: End) -> None:
    _aws("s3", "sync", "--only-show-errors", str(folder), bucket, end=end)


def _aws(*words: str, end: End) -> None:
    _run([sys.executable, "-m", "awscli", *words, "--endpoint-url", end.url], end.env)


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
    which, volume, rounds = (*sys.argv[1:], "", "", "")[:3]
    main(which, float(volume or VOLUME), int(rounds or 1))
