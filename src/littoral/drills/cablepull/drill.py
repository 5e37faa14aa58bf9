"""A folder goes into a box by a cable that is pulled, that goes dead, and by a process that is killed.

::

    folder ──▶ littoral box transfer ──▶ cable ──▶ box (TLS)
                     │ SIGKILL, again       │ cut: connections reset, none accepted for a while
                                            │ half open: nothing passes, nobody is told
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from rich.console import Console

from littoral.box.manifest import KeyRange, Manifest
from littoral.box.transfer.report import BadReport, entries, fingerprint, stated_in, verify
from littoral.box.transfer.sums import CRC64, SHA256, Sum, sum_of
from littoral.drills.cablepull.cable import Cable
from littoral.drills.cablepull.run import Running
from littoral.drills.fieldbox import FieldBox
from littoral.drills.frame import Report
from littoral.tour.findings import Findings

PORTS: Final = ("--port", "0", "--mqtt-port", "off", "--mqtt-tls-port", "off")
BUCKET: Final = "records"
KINDS: Final = ("cut", "half open", "killed")
LIMIT: Final = 600.0  # seconds for the transfer after the last cut
SIGNER: Final = "littoral/transfers/signer/ca.pem"  # under $XDG_STATE_HOME
MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int = 4  # of each kind
    seed: int = 1
    small: int = 3000  # files of up to 8 KiB

    @property
    def large(self) -> int:
        """Files of 40 MiB: enough, at the cable's rate, for the transfer to outlast its cuts."""
        return 6 * self.rounds


class CablePull:
    """A transfer into a box is cut at random moments in three ways; nothing may be missing, doubled or different."""

    def __init__(self, say: Console, folder: Path, plan: Plan, cleanup: ExitStack) -> None:
        self.say = say
        self.plan = plan
        self._folder = folder
        self._files = folder / "files"
        self._chance = random.Random(plan.seed)
        self._cleanup = cleanup
        self._found = Findings()
        self._cuts: list[tuple[float, str]] = []
        self._sums: dict[str, list[Sum]] = {}  # of files
        self._said: list[tuple[float, dict[str, Any]]] = []

    def run(self) -> Report:
        """Raises PlaceError, OSError."""
        self.say.print(f"{self.plan.small} small and {self.plan.large} large files; a box is prepared and unlocked")
        digests = self._fill()
        manifest, url = self._box()
        port = int(url.rpartition(":")[2])
        cable = self._cleanup.enter_context(Cable("127.0.0.1", port))
        self.say.print("They go into the box, and the cable is pulled")
        began = time.monotonic()
        running = self._pull(cable, self._transfer(manifest, cable.port))
        code = self._end(running)
        self._found.row("time", f"{time.monotonic() - began:.0f} s")
        self.say.print("What is in the box is read back")
        self._judge(running, code, digests, self._client(manifest, url))
        return Report(self._found, lambda axes: _plot(axes, self._said, self._cuts), {"seed": self.plan.seed})

    # ------------------------------------------------------------------------------------------ before

    def _fill(self) -> dict[str, str]:
        """SHA-256 by name."""
        sizes = [self._chance.randrange(8192) for _ in range(self.plan.small)] + [40 * MIB] * self.plan.large
        digests = {}
        for number, size in enumerate(sizes):
            name = f"ward{number % 20}/record-{number:05}"
            file = self._files / name
            file.parent.mkdir(parents=True, exist_ok=True)
            data = os.urandom(size)
            file.write_bytes(data)
            digests[name] = hashlib.sha256(data).hexdigest()
            self._sums[name] = [sum_of(algorithm, data) for algorithm in (CRC64, SHA256)]
        return digests

    def _box(self) -> tuple[Manifest, str]:
        """A box that is unlocked, and its S3 endpoint."""
        box = FieldBox(self._folder, "IMPORT", (KeyRange(BUCKET),), self._cleanup)
        box.start(PORTS)
        url, self._ca = box.unlock("--allow-swap")["api"], box.ca
        s3 = self._client(box.manifest, url)
        if BUCKET not in {one["Name"] for one in s3.list_buckets()["Buckets"]}:
            s3.create_bucket(Bucket=BUCKET)
        return box.manifest, url

    def _client(self, manifest: Manifest, url: str) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=manifest.access_key,
            aws_secret_access_key=manifest.secret_key,
            verify=str(self._ca),
            config=Config(s3={"addressing_style": "path"}, max_pool_connections=8),
        )

    # ------------------------------------------------------------------------------------------ the cable

    def _transfer(self, manifest: Manifest, port: int) -> Running:
        words = [str(self._files), f"s3://{BUCKET}", "--endpoint", f"https://127.0.0.1:{port}"]
        words += ["--ca", str(self._ca), "--patience", "3", "--report", str(self._folder / "report")]
        env = {
            "AWS_ACCESS_KEY_ID": manifest.access_key,
            "AWS_SECRET_ACCESS_KEY": manifest.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "XDG_STATE_HOME": str(self._folder / "state"),
        }
        self._how = words, env
        return self._started()

    def _started(self) -> Running:
        running = Running(*self._how, self._folder / "transfer.log")
        self._cleanup.callback(running.stop)
        return running

    def _pull(self, cable: Cable, running: Running) -> Running:
        kinds = list(KINDS) * self.plan.rounds
        self._chance.shuffle(kinds)
        for kind in kinds:
            time.sleep(self._chance.uniform(0.5, 2.5))
            if running.ended:
                break
            self._cuts.append((time.monotonic(), kind))
            self.say.print(f"  {kind}", highlight=False)
            if kind == "cut":
                cable.cut()
                time.sleep(self._chance.uniform(0.1, 1.5))
                cable.restore()
            elif kind == "half open":
                cable.half_open()
            else:
                running.kill()
                self._said += running.said
                running = self._started()
        return running

    def _end(self, running: Running) -> int:
        """Exit code of the transfer, -1 where it does not end."""
        try:
            code = running.wait(LIMIT)
        except subprocess.TimeoutExpired:
            code = -1
            running.kill()
        self._said += running.said
        return code

    # ------------------------------------------------------------------------------------------ after

    def _judge(self, running: Running, code: int, digests: dict[str, str], s3: Any) -> None:
        found = self._found
        happened = {kind: sum(one == kind for _, one in self._cuts) for kind in KINDS}
        found.row("cuts", ", ".join(f"{count} {kind}" for kind, count in happened.items()))
        retries = sum(document["retries"] for _, document in self._last_words())
        found.row("requests that were asked again", retries)
        every = all(count == self.plan.rounds for count in happened.values())
        found.check("it was cut in every way while it was under way", every, happened)
        found.check("the transfer came to its end", code == 0, "; ".join(running.other[-3:]) or f"exit code {code}")
        held = self._held(s3)
        missing, more = digests.keys() - held.keys(), held.keys() - digests.keys()
        found.check("nothing is missing", not missing, f"{len(missing)} of {len(digests)}")
        found.check("nothing is doubled or left over", not more, sorted(more)[:5] or f"{len(held)} objects")
        different = [name for name, digest in held.items() if digests.get(name) != digest]
        found.check("every digest is the file's", not different, different[:5] or f"{len(held)} read back")
        uploads = s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        found.check("no upload is left half way", not uploads, len(uploads))
        self._judge_report(digests, code)

    def _judge_report(self, digests: dict[str, str], code: int) -> None:
        report, signer = self._folder / "report", self._folder / "state" / SIGNER
        told, said = {}, "there is none"
        if code == 0:
            try:
                signed = verify(report).fingerprint == fingerprint(signer.read_text())
                said = "whole, and its own" if signed else "another's signature"
                told = {one["key"]: stated_in(one) for one in entries(report)} if signed else {}
            except BadReport as problem:
                said = str(problem)
        self._found.check("the report is signed by whoever transferred", bool(told), said)
        named = told.keys() == digests.keys() and all(known in self._sums[key] for key, known in told.items())
        self._found.check("it names them all, as they are", named, f"{len(told)} entries")

    def _last_words(self) -> list[tuple[float, dict[str, Any]]]:
        """Of each process: where a next one begins its own count begins anew."""
        ends = [
            said
            for said, after in zip(self._said, [*self._said[1:], None], strict=True)
            if after is None or after[1]["retries"] < said[1]["retries"] or after[1]["objects"] < said[1]["objects"]
        ]
        return ends

    def _held(self, s3: Any) -> dict[str, str]:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        keys = [one["Key"] for page in pages for one in page.get("Contents", [])]

        def digest(key: str) -> str:
            whole = hashlib.sha256()
            for chunk in s3.get_object(Bucket=BUCKET, Key=key)["Body"].iter_chunks(MIB):
                whole.update(chunk)
            return whole.hexdigest()

        with ThreadPoolExecutor(8) as readers:
            return dict(zip(keys, readers.map(digest, keys), strict=True))


def _plot(axes: Any, said: list[tuple[float, dict[str, Any]]], cuts: list[tuple[float, str]]) -> None:
    """Bytes that have arrived, and when it was cut."""
    if not said:
        return
    start = said[0][0]
    axes.plot([at - start for at, _ in said], [document["bytes"] / 1e6 for _, document in said], label="arrived")
    colours = dict(zip(KINDS, ("tab:red", "tab:orange", "black"), strict=True))
    seen: set[str] = set()
    for at, kind in cuts:
        axes.axvline(at - start, color=colours[kind], lw=0.8, label=None if kind in seen else kind)
        seen.add(kind)
    axes.set_xlabel("seconds")
    axes.set_ylabel("MB")
    axes.legend(loc="lower right")
