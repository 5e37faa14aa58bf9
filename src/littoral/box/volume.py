"""What lies on a box's disk in the clear, and how the master key is made of two halves.

==============  ======================================================================================
file            what it is
==============  ======================================================================================
``box.json``    the job, the issuer's certificate, when it was prepared
``box.secret``  32 bytes of chance, the box's own half: without it the manifest and its code open nothing
``box.check``   a value sealed under the master key at the first unlock: says whether a key is the right one
==============  ======================================================================================

The other half is the job key of the manifest. Everything else in the folder is sealed under keys made of the master.
"""

from __future__ import annotations

import datetime
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from littoral.box.manifest import BadManifest, Envelope, Manifest, WrongCode, envelope, open_manifest
from littoral.store.durable import make_folder, write_durably
from littoral.store.key import StoreKey
from littoral.store.sealed import KEY_BYTES, CannotOpen, Seal

FACTS: Final = "box.json"
SECRET: Final = "box.secret"  # noqa: S105 - a file's name
CHECK: Final = "box.check"
_WORDS: Final = b"this key opens this box"


class NotOpened(Exception):
    """The box stays as it was; the message says why, to whoever stands before it."""


@dataclass(frozen=True, slots=True)
class Volume:
    """The folder of a prepared box."""

    folder: Path
    job: str
    issuer: str  # PEM
    prepared: float  # Unix seconds

    @property
    def erased(self) -> bool:
        """It has lost its half of the key."""
        return not (self.folder / SECRET).exists()

    def opened(self, file: bytes, code: str, now: float) -> tuple[Manifest, StoreKey]:
        """What the manifest's file and its code open. Leaves the check at the first time. Raises NotOpened, OSError."""
        manifest = self.told(file, code)
        if now >= manifest.expires:
            raise NotOpened(f"the manifest expired on {day(manifest.expires)}; this machine's clock says {day(now)}")
        key = self.key(manifest)
        check = self.folder / CHECK
        if not check.exists():
            write_durably(check, self._seal(key).seal(_WORDS, self.job))
        if not self.opens(key):
            raise NotOpened("manifest and code are right, but the secret of this box is another's")
        return manifest, key

    def told(self, file: bytes, code: str) -> Manifest:
        """What they say, whenever, and whether they open it or not. Raises NotOpened where they are not this box's."""
        try:
            self._expect(envelope(file))
            return open_manifest(file, code)
        except (BadManifest, WrongCode) as problem:
            raise NotOpened(str(problem)) from problem

    def key(self, manifest: Manifest) -> StoreKey:
        """The master key, by the halves that there are. Raises NotOpened where the box has lost its own."""
        try:
            secret = (self.folder / SECRET).read_bytes()
        except FileNotFoundError:
            raise NotOpened("this box has no secret any more: it was erased") from None
        made = HKDF(SHA256(), KEY_BYTES, salt=secret, info=f"littoral box: {self.job}".encode())
        return StoreKey(made.derive(manifest.job_key))

    def opens(self, key: StoreKey) -> bool:
        """Whether it is the key that this box was first opened with; not where it was never opened."""
        try:
            return self._seal(key).open((self.folder / CHECK).read_bytes(), self.job) == _WORDS
        except (CannotOpen, FileNotFoundError):
            return False

    def _expect(self, outside: Envelope) -> None:
        """Raises NotOpened."""
        if outside.job != self.job:
            raise NotOpened(f"the manifest is of job {outside.job}; this box is of {self.job}")
        if outside.issuer != self.issuer:
            raise NotOpened("the manifest is not of the issuer that this box was prepared for")

    def _seal(self, key: StoreKey) -> Seal:
        return Seal(key.named("check"))


def prepare(folder: Path, manifest: bytes, now: float, issuer: bytes | None = None) -> Volume:
    """Make the folder a box of the manifest's job. ``issuer``: the certificate (PEM) that must have issued it. Raises
    NotOpened, OSError."""
    try:
        outside = envelope(manifest)
    except BadManifest as problem:
        raise NotOpened(str(problem)) from problem
    if issuer is not None and issuer.decode("utf-8", "replace").strip() != outside.issuer.strip():
        raise NotOpened("the manifest was not issued by that certificate")
    if folder.exists() and not folder.is_dir():
        raise NotOpened(f"{folder} is no folder")
    if folder.is_dir() and not _is_new({entry.name for entry in folder.iterdir()}):
        raise NotOpened(f"{folder} is not empty; a box begins with an empty folder")
    make_folder(folder)
    folder.chmod(0o700)
    write_durably(folder / SECRET, os.urandom(KEY_BYTES))
    facts = {"job": outside.job, "issuer": outside.issuer, "prepared": now}
    write_durably(folder / FACTS, json.dumps(facts, indent=1).encode())  # last: it makes the folder a box
    return load(folder)


def _is_new(names: set[str]) -> bool:
    """Or left by a preparation that was cut off: of a box without its facts nothing was ever sealed. An erased one that
    ran has the folder of its socket."""
    left = {Path(name).with_suffix(".new").name for name in (SECRET, FACTS)}
    return names <= {"lost+found", "control", SECRET} | left


def load(folder: Path) -> Volume:
    """Raises NotOpened where the folder is no box, or what it says of itself cannot be read."""
    try:
        found = json.loads((folder / FACTS).read_bytes())
        made = Volume(folder, found["job"], found["issuer"], found["prepared"])
        if not (isinstance(made.job, str) and isinstance(made.issuer, str)):
            raise TypeError("job and issuer are no text")
    except FileNotFoundError:
        raise NotOpened(f"{folder} is no box: littoral box prepare makes it one") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise NotOpened(f"{folder / FACTS} cannot be read: {problem!r}") from problem
    return made


def day(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).date().isoformat()
