"""``littoral box …`` on the command line: which commands there are, and their flags."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from littoral.cli import box, boxmoving, tiering
from littoral.cli.flags import settings_flags, settings_of, shows
from littoral.cli.objectcommands import add_scrub, add_tier


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "box",
        help="a box: prepare, unlock, lock, erase, fill, take in",
        description="A box is a place whose disk shows nothing without the manifest and the unlock code of its job.",
    )
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _opening(parts)
    _looking(parts)
    boxmoving.add(parts)
    add_tier(parts, tiering.tier)
    erased = parts.add_parser(
        "erase",
        help="make it unreadable for good, with a certificate",
        description="Destroy the box's own half of its key (NIST SP 800-88: cryptographic erase), remove what it held, "
        "and write a certificate of sanitization. With the manifest and its code it is verified that they open it no "
        "longer, and the certificate is signed.",
    )
    erased.add_argument("--manifest", type=Path, metavar="FILE", help="of its job, to verify and to sign by")
    erased.add_argument("--code", help=f"the unlock code (else ${box.CODE}, else a prompt)")
    erased.add_argument("--report", type=Path, metavar="DIR", help="where the certificate goes (default: the folder)")
    erased.add_argument("--operator", default="", metavar="NAME", help="who erases (default: this user)")
    settings_flags(erased)
    erased.set_defaults(
        command=lambda options: box.erase(
            settings_of(options), options.manifest, options.code, options.report, options.operator
        )
    )


def _opening(parts: Any) -> None:
    made = parts.add_parser(
        "prepare",
        help="make a folder the box of a manifest's job",
        description="Make an empty folder, or an empty file system where a disk is mounted, the box of a job.",
    )
    made.add_argument("--manifest", type=Path, required=True, metavar="FILE", help="as GetJobManifest gave it")
    made.add_argument("--issuer", type=Path, metavar="FILE", help="certificate (PEM) that must have issued it")
    settings_flags(made)
    made.set_defaults(command=lambda options: box.prepare(settings_of(options), options.manifest, options.issuer))
    opened = parts.add_parser(
        "unlock", help="with the manifest and its code", description="Hand the key to the box that runs here."
    )
    opened.add_argument("--manifest", type=Path, required=True, metavar="FILE", help="of its job")
    opened.add_argument(
        "--code", help=f"the unlock code, which other users of this machine see then (else ${box.CODE}, else a prompt)"
    )
    opened.add_argument("--allow-swap", action="store_true", help="although this machine swaps to an open disk")
    settings_flags(opened)
    opened.set_defaults(command=_unlock)
    closed = parts.add_parser("lock", help="end what it serves and forget the key", description="Lock the box.")
    settings_flags(closed)
    closed.set_defaults(command=lambda options: box.lock(settings_of(options)))


def _unlock(options: argparse.Namespace) -> int:
    return box.unlock(settings_of(options), options.manifest, options.code, allow_swap=options.allow_swap)


def _looking(parts: Any) -> None:
    shown = parts.add_parser(
        "status", help="locked or not", description="Print how the box is. Exit code 1 when it does not answer."
    )
    shows(shown, box.status)
    add_scrub(parts, box.scrub)
    keys = parts.add_parser(
        "credentials", help="its access key and address", description="Print the credentials of an unlocked box."
    )
    keys.add_argument("--export", action="store_true", help="as shell commands, for eval")
    settings_flags(keys)
    keys.set_defaults(command=lambda options: box.credentials(settings_of(options), export=options.export))
    known = parts.add_parser(
        "certificate", help="what clients verify it by (PEM)", description="Print the certificate of its authority."
    )
    settings_flags(known)
    known.set_defaults(command=lambda options: box.certificate(settings_of(options)))
