"""The end of a box: its own half of the key is destroyed, and a certificate says so in the words of NIST SP 800-88.

Owns: the order (prove, overwrite, verify, remove) and the certificate (SP 800-88 Rev. 1, appendix G). What it cannot
promise it says: flash and copy-on-write file systems may keep an old block for a while, which opens nothing without the
manifest and its code.
"""

from __future__ import annotations

import base64
import datetime
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from littoral.box.manifest import BadManifest, Manifest, WrongCode, open_manifest
from littoral.box.volume import CHECK, FACTS, SECRET, NotOpened, Volume, load
from littoral.net.pki import Authority
from littoral.store.durable import fsync_folder, write_durably
from littoral.store.sealed import KEY_BYTES

NAME: Final = "sanitization"
LEFT: Final = (
    "The other half of the key is in the job's manifest and in the region: forget both. Until then whoever has the"
    " manifest, its code and an old block of a flash medium that still holds the box's secret could read what is"
    " recovered beside it."
)


OPENED: Final = " The manifest and its code, which opened the box before, were tried: they do not open it."
NOT_OPENED: Final = (
    " The manifest and its code are this box's, and did not open it when this began: it was never unlocked, or an"
    " earlier erasure was broken off."
)
NOT_SHOWN: Final = (
    " A manifest and its code were given; they did not open this box before, so that it is theirs is not shown, and its"
    " authority has not signed."
)
UNKNOWN: Final = "not known"
OWN: Final = (FACTS, SECRET, CHECK)


@dataclass(frozen=True, slots=True)
class Sanitization:
    """A certificate. ``signed``: its text, the signature and who signed, where a manifest was there to sign by."""

    facts: Mapping[str, Any]
    signature: str = ""
    certificate: str = ""

    def write(self, folder: Path) -> list[Path]:
        """As JSON and as Markdown. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{NAME}.json", folder / f"{NAME}.md"]
        write_durably(files[0], self.document().encode())
        write_durably(files[1], self.markdown().encode())
        return files

    def document(self) -> str:
        told = {"facts": text(self.facts), "signature": self.signature, "certificate": self.certificate}
        return json.dumps(told, indent=1)

    def markdown(self) -> str:
        rows = "".join(f"| {name} | {_cell(value)} |\n" for name, value in self.facts.items())
        signed = "Unsigned."
        if self.signature:
            signed = f"Signed by the box's authority (ECDSA, SHA-256): `{self.signature}`"
        return f"# Certificate of sanitization\n\n| | |\n|---|---|\n{rows}\n{signed}\n"


def erase(folder: Path, now: float, operator: str, opening: tuple[bytes, str] | None) -> Sanitization:
    """``opening``: the manifest's file and its code, also when expired, to verify and to sign by. Raises NotOpened
    where the box is in use or they are not its own, OSError; then nothing was erased.

    A box that cannot say which it is, is erased, too: whose it was is the manifest's to say, where it opens it."""
    volume, unread = _left_of(folder)
    with _alone(folder), _nobody_in(folder / "store"):
        manifest = _told(volume, unread, opening)
        if unread and manifest is not None:
            volume = replace(volume, job=manifest.job)
        before = manifest is not None and _opens(volume, manifest, unread)
        if unread and manifest is not None and not before:
            manifest, volume = None, replace(volume, job=UNKNOWN)
        verified = _overwrite(folder / SECRET)
        if manifest is not None:
            if _opens(volume, manifest, unread):
                raise NotOpened("the manifest opens the box still: the medium does not take what is written")
            verified += OPENED if before else NOT_OPENED
        elif opening is not None:
            verified += NOT_SHOWN
        facts = certificate_of(volume, now, operator, verified)
        if unread:
            facts["could not be read"] = unread
        _remove(folder)
    if manifest is None:
        return Sanitization(facts)
    authority = Authority.of(manifest.authority_certificate.encode(), manifest.authority_key.encode())
    signature = base64.b64encode(authority.sign(text(facts).encode())).decode()
    return Sanitization(facts, signature, manifest.authority_certificate)


def _left_of(folder: Path) -> tuple[Volume, dict[str, str]]:
    """The box, and which of its files cannot be read and why. Raises NotOpened where it is none."""
    try:
        return load(folder), {}
    except NotOpened as problem:
        if not any((folder / name).exists() for name in OWN):
            raise
        said = str(problem) if (folder / FACTS).exists() else "it is not there"
        return Volume(folder, UNKNOWN, "", 0.0), {FACTS: said}


def _told(volume: Volume, unread: Mapping[str, str], opening: tuple[bytes, str] | None) -> Manifest | None:
    """Raises NotOpened where it is no manifest, not its code, or another box's."""
    if opening is None:
        return None
    if not unread:
        return volume.told(*opening)
    try:
        return open_manifest(*opening)
    except (BadManifest, WrongCode) as problem:
        raise NotOpened(str(problem)) from problem


def certificate_of(volume: Volume, now: float, operator: str, verified: str) -> dict[str, Any]:
    """What appendix G asks for."""
    return {
        "job": volume.job,
        "media": medium(volume.folder),
        "method type": "Purge",
        "method used": "Cryptographic Erase (NIST SP 800-88 Rev. 1, 2.6 and appendix A)",
        "method details": "Every byte was under AES-256-GCM or ChaCha20-Poly1305, with keys made of a job key and of a"
        f" secret of {KEY_BYTES * 8} bits on this medium; the secret was overwritten, then all files were removed.",
        "tool": f"littoral {version('littoral')} box erase",
        "verification": verified,
        "left to do": LEFT,
        "performed by": operator,
        "date": datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat(timespec="seconds"),
    }


def medium(folder: Path, sys: Path = Path("/sys")) -> dict[str, str]:
    """What this machine says of the disk: where it is mounted, its device, model and serial number."""
    number = folder.stat().st_dev
    found = {"folder": str(folder)}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        if words[2] == f"{os.major(number)}:{os.minor(number)}":
            after = words[words.index("-") + 1 :]
            found |= {"type": after[0], "device": after[1]}
            break
    block = sys / f"dev/block/{os.major(number)}:{os.minor(number)}"
    for name in ("model", "serial"):
        for place in (block / "device", block / "../device"):
            if (file := place / name).is_file():
                found[name] = file.read_text().strip()
                break
    return found


def text(facts: Mapping[str, Any]) -> str:
    """What is signed."""
    return json.dumps(facts, indent=1)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One erases: who has the lock of what is removed last. The folder's own is the process's that runs there."""
    last = next(folder / name for name in OWN if (folder / name).exists())
    held = os.open(last, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


class _nobody_in:
    """Holds the lock of the store. Raises NotOpened where a box is unlocked there."""

    def __init__(self, store: Path) -> None:
        self._file = store / "lock"

    def __enter__(self) -> None:
        self._held = self._file.open() if self._file.exists() else None
        if self._held is not None:
            try:
                fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._held.close()
                raise NotOpened("the box is unlocked; lock it first (littoral box lock)") from None

    def __exit__(self, *_: object) -> None:
        if self._held is not None:
            self._held.close()


def _opens(volume: Volume, manifest: Manifest, unread: dict[str, str]) -> bool:
    """Notes what the medium does not read any more; what it does not, opens nothing."""
    try:
        return volume.opens(volume.key(manifest))
    except NotOpened:  # its secret is gone
        return False
    except OSError as problem:
        unread[Path(problem.filename or CHECK).name] = str(problem)
        return False


def _overwrite(file: Path) -> str:
    """In its place, down to the medium, and looked at again; what was done. Raises OSError, NotOpened."""
    if not file.exists():  # a power cut came after it was removed
        return "The secret was not there any more: an earlier erasure overwrote and removed it, and was broken off."
    new = os.urandom(max(KEY_BYTES, file.stat().st_size))  # also where it is not as long as it was
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.pwrite(descriptor, new, 0)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # so that it is read from the medium
        if os.pread(descriptor, len(new) + 1, 0) != new:
            raise NotOpened("the medium does not take what is written")
    finally:
        os.close(descriptor)
    return "The secret was overwritten and read back."


def _remove(folder: Path) -> None:
    """All but the socket of a box that runs; the facts last, so that what was half erased is erased again."""
    for name in (SECRET, CHECK):
        (folder / name).unlink(missing_ok=True)
    fsync_folder(folder)
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in ("control", "lost+found"):
            shutil.rmtree(entry)
        elif entry.is_file() and entry.name != FACTS:
            entry.unlink()
    (folder / FACTS).unlink(missing_ok=True)
    fsync_folder(folder)


def _cell(value: Any) -> str:
    found = "; ".join(f"{name} {each}" for name, each in value.items()) if isinstance(value, dict) else str(value)
    return found.replace("|", "\\|")
