"""``littoral box manifest``, ``import`` and ``export``: the region's side of a job, asked of the region that runs here
(``/_littoral/box/jobs``) and carried out in this process."""

from __future__ import annotations

import asyncio
import base64
import csv
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from littoral.box.manifest import KeyRange
from littoral.box.region.states import IN_PROGRESS
from littoral.box.transfer import report
from littoral.box.transfer.asking import Keys, Refused, Unanswered
from littoral.box.transfer.bucket import Bucket
from littoral.box.transfer.folder import Folder
from littoral.box.transfer.moving import Mover
from littoral.box.transfer.objects import Objects
from littoral.box.transfer.sums import CRC64, SHA256
from littoral.cli.asking import Failed, address, ask
from littoral.cli.credentials import CREDENTIALS_FILE
from littoral.cli.table import aligned
from littoral.cli.transfer import End, How, Outcome, carried_out, checked, client, moved, state
from littoral.net.client import HttpClient
from littoral.net.pki import Authority
from littoral.site.settings import Loaded, read_credentials
from littoral.store.spool import SPOOL, Tray

STEPS: Final = "/_littoral/box/jobs/"
EVERY: Final = 1.0  # seconds between two words to the region of how far it is
WHERE: Final = "box-jobs"  # the prefix of reports and logs
SUMS: Final = (SHA256, CRC64)  # columns of a log: of each object there is one


def manifest(loaded: Loaded, job: str, file: Path | None, *, code: bool, ready: bool) -> int:
    """What a box is prepared with; or word that it is prepared."""
    if ready:
        _step(loaded, job, "ready")
        print(f"{job} may be carried away")
        return 0
    answer = _step(loaded, job, "prepare")
    file = file or Path(f"{job}.manifest")
    try:
        file.write_bytes(base64.b64decode(answer["manifest"]))
    except OSError as problem:
        raise Failed(str(problem)) from None
    print(file)
    if code:
        print(answer["code"])
    return 0


def carry(loaded: Loaded, job: str, url: str, how: How, *, into_box: bool) -> int:
    """Import from the unlocked box at ``url``, or export to it. Exit code 1 where something could not be moved: the job
    then stays as it is, and the same command tries again."""
    _expect(loaded, job, url, into_box=into_box)
    told = _step(loaded, job, "begin")
    region = loaded.settings.region
    box = End.believing(url, Keys(told["access_key"], told["secret_key"], region), told["authority"].encode())
    here = End(address(loaded), Keys(*read_credentials(loaded.settings.data_dir / CREDENTIALS_FILE), region))
    ranges = [KeyRange(**one) for one in told["ranges"]]
    return carried_out(Carrying(loaded, job, box, here, ranges, how, into_box).run())


def leave(loaded: Loaded, job: str, url: str, *, into_box: bool) -> int:
    """To the region, which carries it out in the background."""
    _expect(loaded, job, url, into_box=into_box)
    _step(loaded, job, "carry", url=url)
    print(f"{job} goes on in the background; littoral box progress {job} shows how far it is")
    return 0


def progress(loaded: Loaded, job: str, *, stop: bool, as_json: bool) -> int:
    """Exit code 1 while it is not over."""
    if stop:
        _step(loaded, job, "carry", url="")
    found = _asked(loaded, job)
    held, moved = found["job"], found["job"]["moved"]
    over = held["state"] != IN_PROGRESS
    if as_json:
        told = {"state": held["state"], **moved, "running": found["running"], "problem": found["problem"]}
        print(json.dumps(told, indent=2))
        return 0 if over else 1
    whole = f" of {moved['total_objects']:,}" if moved["total_objects"] else ""
    lines = [("job", f"{job} {held['kind']}"), ("state", held["state"])]
    lines.append(("objects", f"{moved['objects']:,}{whole}"))
    lines.append(("bytes", f"{moved['bytes']:,}" + (f" of {moved['total_bytes']:,}" if whole else "")))
    lines.append(("background", f"with {held['carried']}" if found["running"] else "no"))
    if found["problem"]:
        lines.append(("last try", found["problem"]))
    print("".join(aligned(lines, 1)), end="")
    return 0 if over else 1


def _expect(loaded: Loaded, job: str, url: str, *, into_box: bool) -> None:
    """Before anything of the job changes. Raises Failed where it is of the other way, or ``url`` is none."""
    checked(url)
    kind = _asked(loaded, job)["job"]["kind"]
    if (kind == "EXPORT") != into_box:
        raise Failed(f"{job} is a job of type {kind}")


def _asked(loaded: Loaded, job: str) -> dict[str, Any]:
    """Raises Failed."""
    answer: dict[str, Any] = ask(loaded, STEPS + job, service="littoral")
    return answer


@dataclass(slots=True)
class Carrying:
    loaded: Loaded
    job: str
    box: End
    here: End
    ranges: Sequence[KeyRange]
    how: How
    into_box: bool

    async def run(self) -> int:
        """The exit code."""
        authority = Authority.load_or_create(self.loaded.settings.data_dir / "pki", "")
        folder = state() / self.job
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        outcomes, began = [], time.time()
        async with client() as http, Watch(self.loaded, self.job).within() as watch:
            with Tray.within(self.loaded.settings.data_dir / "store" / SPOOL) as tray:
                for number, one in enumerate(self.ranges):
                    file = folder / f"{number}.jsonl"
                    outcomes.append(await self._range(http, tray, one, authority, file, watch))
            await watch.tell()
            if not self.into_box:
                await self._tell_what_stays(http)
            failed = sum(len(one.failed) for one in outcomes)
            objects, volume = sum(one.objects for one in outcomes), sum(one.bytes for one in outcomes)
            for outcome in outcomes:
                for key, reason in list(outcome.failed.items())[:20]:
                    print(f"littoral: not moved: {key}: {reason}", file=sys.stderr)
            if failed:
                print(f"{objects} objects ({volume} bytes) are there, {failed} could not be moved; the job goes on")
                return 1
            logs = await self._logs(http, outcomes, authority, folder, began)
        total = {"objects": objects, "bytes": volume, "total_objects": objects, "total_bytes": volume}
        await asyncio.to_thread(_step, self.loaded, self.job, "end", moved=total, logs=logs)
        print(f"{objects} objects ({volume} bytes) are there; report: {logs['report']}")
        shutil.rmtree(folder)
        return 0

    async def _tell_what_stays(self, http: HttpClient) -> None:
        """Of buckets that the job does not name nothing is taken in, and whoever erases the box should know."""
        try:
            there = await self.box.bucket(http, "", self.how).beside()
        except (Refused, Unanswered) as problem:  # what was to come has come
            print(f"littoral: {self.box.url} did not say which buckets it has: {problem}", file=sys.stderr)
            return
        named = {one.bucket for one in self.ranges}
        if left := [name for name in there if name not in named]:
            print(f"littoral: not of this job, so they stay on the box: {', '.join(left)}", file=sys.stderr)

    async def _range(
        self, http: HttpClient, tray: Tray | None, wanted: KeyRange, authority: Authority, file: Path, watch: Watch
    ) -> Outcome:
        here, box = (
            self.here.bucket(http, wanted.bucket, self.how, tray),
            self.box.bucket(http, wanted.bucket, self.how),
        )
        origin, destination = (here, box) if self.into_box else (box, here)
        objects, making = Objects(origin, wanted), self.into_box
        try:
            return await moved(objects, destination, "", self.how, authority, file, watch.add, making=making)
        except Refused as refused:
            if refused.code != "NoSuchBucket":
                raise
            at_box = await _lacks(origin) != self.into_box
            raise Failed(f"the {'box' if at_box else 'region'} has no bucket {wanted.bucket}") from refused

    async def _logs(
        self, http: HttpClient, outcomes: Sequence[Outcome], authority: Authority, folder: Path, began: float
    ) -> dict[str, str]:
        """Into the first bucket of the job; where they lie."""
        parts = [(wanted.bucket, one.file) for wanted, one in zip(self.ranges, outcomes, strict=True)]
        source, target = (self.here, self.box) if self.into_box else (self.box, self.here)
        summary = report.Summary(self.job, source.url, target.url, began, time.time())
        totals = sum(one.objects for one in outcomes), sum(one.bytes for one in outcomes), 0
        with (
            _csv(folder / "success.csv", "Bucket", "Key", "FileSize", *SUMS) as rows,
            _csv(folder / "failure.csv", "Bucket", "Key", "Reason"),
        ):
            report.join(folder / "report.jsonl", summary, totals, _succeeded(parts, rows), authority)
        for _, part in parts:
            part.unlink()
        bucket, prefix = self.ranges[0].bucket, f"{WHERE}/{self.job}/"
        quiet = How(quiet=True)
        await moved(
            Folder(folder, prefix), self.here.bucket(http, bucket, self.how), prefix, quiet, Authority.create("logs")
        )
        names = {"report": "report.jsonl", "success": "success.csv", "failure": "failure.csv"}
        return {name: f"{bucket}/{prefix}{file}" for name, file in names.items()}


class Watch:
    """Tells the region how far it is, about once a second."""

    def __init__(self, loaded: Loaded, job: str) -> None:
        self._loaded = loaded
        self._job = job
        self._movers: list[Mover] = []
        self.add = self._movers.append

    @asynccontextmanager
    async def within(self) -> AsyncIterator[Watch]:
        telling = asyncio.create_task(self._keep_telling())
        try:
            yield self
        finally:
            telling.cancel()
            await asyncio.wait([telling])

    async def _keep_telling(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            await self.tell()

    async def tell(self) -> None:
        """How far it is now."""
        try:
            await asyncio.to_thread(_step, self._loaded, self._job, "moved", moved=self._moved())
        except Failed as problem:  # of the transfer itself nothing is lost by that
            print(f"littoral: {problem}", file=sys.stderr)

    def _moved(self) -> dict[str, int]:
        known = [mover.progress for mover in self._movers]
        whole = all(one.whole for one in known)
        return {
            "objects": sum(one.done for one in known),
            "bytes": sum(one.done_bytes for one in known),
            "total_objects": sum(one.listed for one in known) if whole else 0,
            "total_bytes": sum(one.listed_bytes for one in known) if whole else 0,
        }


async def _lacks(bucket: Bucket) -> bool:
    """Whether it is not there. Raises Refused, and OSError where that is not answered."""
    try:
        await bucket.page()
    except Refused as refused:
        if refused.code != "NoSuchBucket":
            raise
        return True
    except Unanswered as problem:
        raise OSError(str(problem)) from problem
    return False


def _succeeded(parts: Sequence[tuple[str, Path]], rows: Any) -> Iterator[dict[str, Any]]:
    """The entries of all buckets' reports, each of which is logged as it is read."""
    for bucket, part in parts:
        for told in report.entries(part):
            rows.writerow((bucket, told["key"], told["size"], *(told.get(name.lower(), "") for name in SUMS)))
            yield {"bucket": bucket, **told}


@contextmanager
def _csv(file: Path, *head: str) -> Iterator[Any]:
    """Its writer."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(head)
        yield writer


def _step(loaded: Loaded, job: str, step: str, **more: Any) -> dict[str, Any]:
    """Raises Failed."""
    answer: dict[str, Any] = ask(
        loaded, STEPS + job, service="littoral", method="POST", document={"step": step, **more}
    )
    return answer
