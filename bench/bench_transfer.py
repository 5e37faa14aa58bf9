"""How quickly a folder gets into a bucket: small files a second, large files against their disk, and other clients.

    .venv/bin/python bench/bench_transfer.py              # small files, large ones, and jobs; each takes about a minute
    .venv/bin/python bench/bench_transfer.py large 8      # large files only, of 8 GB in all; or ``small``, ``jobs``

Place, transfer and peer are processes on this machine, so they share its processors; the ratios of one run count. Large
files go once more where place and client have processors of their own, as two machines have them: at either end of a
loopback connection the kernel wakes who reads on the processor of who writes, and another one stands idle.
Large files go into a region (HTTP) and into a box (sealed on its disk; over TLS in wide records, and half as many in
the records of TLS itself), out of the page cache. They are held against the same disk twice: a copy of the same files,
each with fsync, which is what else one would do with them (of half a GB it is the page cache's rate more than the
disk's: keep the volume); and what the disk takes of writes past the page cache, as the place writes, with no file to
read and nobody to talk to.
Jobs: a region reads its box (``littoral box import``) and fills another (``export``), by what lies on the disk and not
in memory; held against a copy out of the disk.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jobbox import JobBox
from littoral.drills.cpu import spent
from littoral.store import strides
from littoral.store.past import NewFile
from littoral.tour.places import PlaceProcess

SMALL, SMALL_SIZE = 5000, 2048
LARGE_SIZE = 128 * 1024 * 1024
VOLUME = 4.0  # GB of large files
AWS = 4  # of them go by ``aws s3 sync``
COPIES = 2  # the quicker counts: the first has to find memory for its pages
RCLONE = {
    "TYPE": "s3",
    "PROVIDER": "Other",
    "ENV_AUTH": "true",
    "NO_CHECK_BUCKET": "true",
    "ACL": "bucket-owner-full-control",
}
PORTS = ("--port", "0", "--mqtt-port", "off", "--mqtt-tls-port", "off")


def main(which: str = "", volume: float = VOLUME) -> None:
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
                _large(folder, end, count, cleanup)
            if which in ("", "jobs"):
                _jobs(folder, end, count, cleanup)
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


def _large(folder: Path, region: End, count: int, cleanup: ExitStack) -> None:
    large = _files(folder / "large", count, LARGE_SIZE)
    os.sync()  # else its own way to the disk is in the first figure
    gigabytes = count * LARGE_SIZE / 1e9
    copied = gigabytes / min(_timed_in(folder / "copy", partial(_copy, large)) for _ in range(COPIES))
    taken = gigabytes / _timed_in(folder / "written", partial(_write, _noise(), count))
    print(f"large files ({count} of {LARGE_SIZE / 1e6:.0f} MB, {gigabytes:.1f} GB)")
    print(f"  {'copied, with fsync:':38}{copied * 1000:8.0f} MB/s")
    print(f"  {'written past the page cache:':38}{taken * 1000:8.0f} MB/s")

    told = partial(_told, {"the copy": copied, "what is written": taken})
    _aws("s3", "mb", "s3://large-ours", end=region)
    _, box = _box("IMPORT", "large-ours", region, folder / "box", cleanup)
    half, few = _some(large, folder / "half", count // 2 or 1), (count // 2 or 1) * LARGE_SIZE / 1e9
    tls = "--no-wide-records"
    for name, end, source, size, words in (
        ("region", region, large, gigabytes, ()),
        ("box", box, large, gigabytes, ()),
        ("box, TLS alone", box, half, few, (tls,)),
    ):
        bucket = f"s3://{source.name}-{'there' if end is region else 'ours'}"
        shared, apart = (bucket, "", nullcontext()), (f"{bucket}-apart", ", apart", _apart(end.place.pid))
        for target, how, alone in (shared,) if words else (shared, apart):
            _aws("s3", "mb", target, end=end)
            with alone:
                work = partial(_transfer, str(source), target, end, *words)
                told(f"littoral box transfer, {name}{how}:", size, (end,), work)
    _aws("s3", "mb", "s3://large-aws", end=region)
    some = _some(large, folder / "some", AWS)
    theirs = AWS * LARGE_SIZE / 1e6 / _timed(lambda: _sync(some, "s3://large-aws", region))
    print(f"  {f'aws s3 sync into a region, {AWS} of them:':38}{theirs:8.0f} MB/s")


def _jobs(folder: Path, region: End, count: int, cleanup: ExitStack) -> None:
    """A region reads a box, and fills another; each beside it, and with processors of its own."""
    large = _files(folder / "jobs", count, LARGE_SIZE)
    os.sync()
    gigabytes = count * LARGE_SIZE / 1e9
    print(f"jobs ({count} of {LARGE_SIZE / 1e6:.0f} MB, {gigabytes:.1f} GB)")
    _aws("s3", "mb", "s3://jobs", end=region)
    for kind in ("IMPORT", "EXPORT"):
        moved = gigabytes / _timed_in(folder / "moved", partial(_copy, _forgotten(large)))
        print(f"  {'copied out of the disk, with fsync:':38}{moved * 1000:8.0f} MB/s")
        for how in ("", ", apart"):
            made, box = _box(kind, "jobs", region, folder / f"{kind}{how}", cleanup)
            if kind == "IMPORT":
                _aws("s3", "mb", "s3://jobs", end=box)
                _transfer(str(large), "s3://jobs", box)
                made.travels()
            with _apart(box.place.pid, region.place.pid) if how else nullcontext():
                work = made.read if kind == "IMPORT" else made.fill
                _told({"the copy": moved}, f"littoral box {kind.lower()}{how}:", gigabytes, (region, box), work)
            made.place.stop()


def _told(
    peers: Mapping[str, float], name: str, volume: float, ends: tuple[End, ...], work: Callable[[], None]
) -> None:
    """``volume`` in GB, the rates of ``peers`` in GB/s."""
    took, places, client = _costs(ends, work)
    rate = volume / took
    ratios = ", ".join(f"{rate / each:.2f} of {peer}" for peer, each in peers.items())
    cost = ", ".join(f"{one / volume:.2f}" for one in places)
    print(
        f"  {name:38}{rate * 1000:8.0f} MB/s; {ratios}; "
        f"processor time a GB: place {cost} s, client {client / volume:.2f} s",
        flush=True,
    )


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


def _forgotten(folder: Path) -> Path:
    """None of its files is in memory any more."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return folder


def _noise() -> list[memoryview]:
    room = [strides.take() for _ in range(64)]
    for stride in room:
        stride[:] = os.urandom(strides.STRIDE)
    return room


def _write(content: Sequence[memoryview], count: int, folder: Path) -> None:
    """As many bytes as ``_files`` has, durable."""
    folder.mkdir()
    for number in range(count):
        file = NewFile(folder / str(number))
        for at in range(LARGE_SIZE // strides.STRIDE):
            file.write(content[at % len(content)])
        file.sync()
        file.close()


def _small(folder: Path, end: End, cleanup: ExitStack) -> None:
    small = _files(folder / "small", SMALL, SMALL_SIZE)
    for bucket in ("small-ours", "small-again", "small-job", "small-aws", "small-rclone"):
        _aws("s3", "mb", f"s3://{bucket}", end=end)

    def told(name: str, work: Callable[[], None], ends: tuple[End, ...] = (end,)) -> float:
        took, places, client = _costs(ends, work)
        cost = ", ".join(f"{place / SMALL * 1e6:4.0f} µs" for place in places)
        costs = f"processor time each: place {cost}, client {client / SMALL * 1e6:4.0f} µs"
        print(f"  {name:38}{SMALL / took:8.0f} a second; {costs}", flush=True)
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
    main(sys.argv[1] if sys.argv[1:] else "", float(sys.argv[2]) if sys.argv[2:] else VOLUME)
