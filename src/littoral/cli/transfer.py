"""``littoral box transfer``, ``import``, ``export`` and ``verify``: carried out here, in this process.

A transfer's journal lies in ``$XDG_STATE_HOME/littoral/transfers``; the same command goes on where it was stopped.
"""

from __future__ import annotations

import asyncio
import configparser
import gc
import getpass
import hashlib
import json
import os
import platform
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from littoral.box.manifest import KeyRange
from littoral.box.transfer import report
from littoral.box.transfer.asking import Keys, Refused
from littoral.box.transfer.bucket import Bucket
from littoral.box.transfer.folder import Folder
from littoral.box.transfer.items import Source
from littoral.box.transfer.journal import Busy, Journal
from littoral.box.transfer.moving import LinkLost, Mover
from littoral.box.transfer.objects import Objects
from littoral.cli.asking import Failed
from littoral.cli.showing import shown
from littoral.net.client import HttpClient
from littoral.net.pki import Authority
from littoral.net.tls import client_context
from littoral.net.wide import PROTOCOLS
from littoral.store.spool import Tray

STATE: Final = "littoral/transfers"


@dataclass(frozen=True, slots=True)
class How:
    """What commands share."""

    parallel: int = 6
    give_up: float = 900.0
    patience: float = 60.0
    batches: bool = True
    wide: bool = True
    as_json: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """One end of a transfer: an S3 endpoint, who asks there, and whose certificates are believed. ``wide_tls`` believes
    the same and offers wide records."""

    url: str
    keys: Keys
    tls: ssl.SSLContext | None = None
    wide_tls: ssl.SSLContext | None = None

    @classmethod
    def believing(cls, url: str, keys: Keys, ca: bytes | None) -> Self:
        """Whoever is certified by ``ca``, or by the system's without one."""
        if not url.startswith("https://"):
            return cls(url, keys)
        return cls(url, keys, client_context(ca=ca), client_context(ca=ca, alpn=PROTOCOLS))

    def bucket(self, client: HttpClient, name: str, how: How, tray: Tray | None = None) -> Bucket:
        bulk_tls = self.wide_tls if how.wide else self.tls
        return Bucket(client, self.url, name, self.keys, self.tls, how.patience, bulk_tls, tray)


@dataclass(frozen=True, slots=True)
class Outcome:
    name: str
    file: Path  # the report
    objects: int
    bytes: int
    failed: Mapping[str, str]


def state() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / STATE


def signer() -> Authority:
    """Who signs the reports of this user."""
    return Authority.load_or_create(state() / "signer", f"Littoral transfers of {getpass.getuser()}@{platform.node()}")


def end_of(url: str, keys: Path | None, ca: Path | None) -> End:
    """Raises Failed."""
    checked(url)
    try:
        own = _keys_in(keys) if keys is not None else _keys_around()
        trusted = ca.read_bytes() if ca is not None else None
    except (OSError, UnicodeDecodeError, configparser.Error) as problem:
        raise Failed(str(problem)) from None
    try:
        return End.believing(url, own, trusted)
    except (ssl.SSLError, UnicodeDecodeError):
        raise Failed(f"{ca} is no certificate (PEM)") from None


def checked(url: str) -> str:
    """Raises Failed where it is no endpoint."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        good = False
    if not good:
        raise Failed(f"{url!r} is no endpoint: http://… or https://…")
    return url


def _keys_in(file: Path) -> Keys:
    """A file as the AWS CLI's ``credentials`` and a place's own."""
    content = configparser.ConfigParser(interpolation=None)
    content.read_string(file.read_text())
    found = dict(content["default"]) if "default" in content else {}
    return _keys(found, {name: name.lower() for name in _NAMES}, str(file))


_NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def _keys_around() -> Keys:
    return _keys(dict(os.environ), {name: name for name in _NAMES}, "the environment")


def _keys(found: Mapping[str, str], names: Mapping[str, str], where: str) -> Keys:
    missing = [name for name in names.values() if not found.get(name)]
    if missing:
        raise Failed(f"there is no {' and no '.join(missing)} in {where}")
    access, secret = (found[name] for name in names.values())
    region = found.get("AWS_REGION") or found.get("AWS_DEFAULT_REGION") or found.get("region") or "us-east-1"
    return Keys(access, secret, region)


@asynccontextmanager
async def client() -> AsyncIterator[HttpClient]:
    made = HttpClient()
    try:
        yield made
    finally:
        await made.close()


def carried_out(work: Coroutine[Any, Any, int]) -> int:
    """Raises Failed."""
    import uvloop

    gc.freeze()
    gc.set_threshold(20_000, 20, 500)  # of what is moved nothing is in cycles, and to see that took a tenth
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except KeyboardInterrupt:
        print("littoral: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except LinkLost as lost:
        raise Failed(f"nothing goes on any more: {lost}; the same command goes on from here") from None
    except Busy as busy:
        raise Failed(f"this transfer is under way in another process ({busy})") from None
    except (Refused, OSError) as problem:
        raise Failed(str(problem)) from None


async def moved(
    source: Source,
    destination: Bucket,
    prefix: str,
    how: How,
    by: Authority,
    file: Path | None = None,
    watching: Callable[[Mover], None] | None = None,
    *,
    making: bool = False,
) -> Outcome:
    """One transfer with its journal, progress and report; ``making`` makes the bucket where it is not there. Raises
    LinkLost, Refused, Busy, OSError."""
    name = hashlib.sha256(f"{source.name}\0{destination.place}\0{prefix}".encode()).hexdigest()[:16]
    journal = Journal.open(state() / f"{name}.db")
    try:
        began = time.time()
        batching = None if how.batches else False
        mover = Mover(source, destination, journal, how.parallel, how.give_up, batching, prefix, making)
        if watching is not None:
            watching(mover)
        showing = shown(mover.progress, destination.name, sys.stderr, as_json=how.as_json)
        async with nullcontext() if how.quiet else showing:
            await mover.run()
        file = file or state() / f"{name}.report.jsonl"
        summary = report.Summary(name, source.name, f"{destination.place}/{prefix}", began, time.time())
        report.write(file, summary, journal, mover.failed, by)
        return Outcome(name, file, *journal.totals(), dict(mover.failed))
    finally:
        journal.close()


def told(outcome: Outcome) -> int:
    """For people; the exit code."""
    for key, reason in list(outcome.failed.items())[:20]:
        print(f"littoral: not moved: {key}: {reason}", file=sys.stderr)
    failed = f", {len(outcome.failed)} could not be moved" if outcome.failed else ""
    print(f"{outcome.objects} objects ({outcome.bytes} bytes) are there{failed}; report: {outcome.file}")
    return 1 if outcome.failed else 0


# ------------------------------------------------------------------------------------------------ transfer, verify


def transfer(source: str, destination: str, near: End | None, far: End, file: Path | None, how: How) -> int:
    """From a folder or s3://BUCKET/PREFIX (at ``near``) to s3://BUCKET/PREFIX (at ``far``)."""
    bucket, prefix = _address(destination)

    async def work() -> int:
        async with client() as http:
            made: Source
            if source.startswith("s3://"):
                name, begins = _address(source)
                if begins != prefix:
                    raise Failed("objects keep their keys: the prefix of both ends is the same")
                made = Objects((near or far).bucket(http, name, how), KeyRange(name), begins)
            else:
                folder = Path(source)
                if not folder.is_dir():
                    raise Failed(f"{source} is no folder")
                made = Folder(folder, f"{prefix.rstrip('/')}/" if prefix else "")
            return told(await moved(made, far.bucket(http, bucket, how), prefix, how, signer(), file))

    return carried_out(work())


def _address(text: str) -> tuple[str, str]:
    bucket, _, prefix = text.removeprefix("s3://").partition("/")
    if not text.startswith("s3://") or not bucket:
        raise Failed(f"{text!r} is no s3://BUCKET/PREFIX")
    return bucket, prefix


def _fingerprint_in(certificate: Path) -> str:
    """Raises Failed."""
    try:
        return report.fingerprint(certificate.read_text())
    except OSError as problem:
        raise Failed(f"{certificate} cannot be read: {problem.strerror}") from None
    except ValueError:
        raise Failed(f"{certificate} is no certificate (PEM)") from None


def verify(file: Path, signed_by: Path | None, as_json: bool) -> int:
    """Exit code 0 where the report is whole and its signer's; 1 otherwise."""
    expected = _fingerprint_in(signed_by) if signed_by is not None else None
    try:
        found = report.verify(file)
        if expected is not None and expected != found.fingerprint:
            raise report.BadReport(f"it is signed by {found.fingerprint}, not by {signed_by}")
    except (report.BadReport, OSError, ValueError) as problem:
        raise Failed(f"{file}: {problem}") from None
    if as_json:
        print(json.dumps({**found.head, "signer": found.fingerprint}))
    else:
        known = "" if signed_by is not None else " (compare it, or name the signer's certificate: --signer)"
        print(f"{found.objects} objects, {found.head['bytes']} bytes, {found.failed} failed: as signed")
        print(f"signed by {found.fingerprint}{known}")
    return 0
