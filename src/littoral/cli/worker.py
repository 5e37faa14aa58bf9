"""``littoral worker …``: machines that offer hosts for training to a region.

In the region ``bundle`` makes such a machine's identity, and ``ls`` shows the machines that are there; on the machine
``join`` offers hosts until SIGTERM or Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from littoral.cli import bundle
from littoral.cli.asking import Failed, ask
from littoral.cli.flags import settings_flags, settings_of, shows
from littoral.cli.table import aligned
from littoral.site.settings import Loaded, Settings

WORKER: Final = bundle.Kind(
    "worker",
    "littoral-worker-bundle/1",
    "littoral-training-worker",
    ("littoral:OfferTrainingHosts",),
    False,
    "to be used at each start",
    "on the machine:  littoral worker join",
)
PATH: Final = "/_littoral/training/machines"


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "worker",
        help="machines that offer hosts for training jobs to a region",
        description="Machines on which a region's training jobs have hosts beside its own.",
    )
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    packed = parts.add_parser(
        "bundle",
        help="in the region: a machine's identity in one file",
        description="In the region: make a thing, its certificate and its policy, and pack them into one file for the "
        "machine.",
    )
    packed.add_argument("worker", help="its name, and its thing's")
    packed.add_argument("--endpoint", metavar="URL", help="the region as the machine reaches it: mqtts://HOST:8883")
    packed.add_argument("--out", type=Path, metavar="FILE", help="the file (default: NAME.bundle)")
    settings_flags(packed)
    packed.set_defaults(command=_bundle)
    joined = parts.add_parser(
        "join",
        help="on the machine: offer hosts until SIGTERM or Ctrl-C",
        description="On the machine: offer --train-workers hosts (default: one a processor), which share "
        "--train-memory MiB and have the packages of --train-python. It dials the region, and listens nowhere.",
    )
    joined.add_argument("bundle", type=Path, help="the file of littoral worker bundle")
    settings_flags(joined)
    joined.set_defaults(command=lambda options: join(settings_of(options), options.bundle))
    listed = parts.add_parser(
        "ls", help="in the region: the machines that offer hosts", description="Print the machines that offer hosts."
    )
    shows(listed, ls)


def _bundle(options: argparse.Namespace) -> int:
    loaded = settings_of(options)
    return bundle.run(loaded, options.worker, group=None, endpoint=options.endpoint, out=options.out, kind=WORKER)


def ls(loaded: Loaded, *, as_json: bool) -> int:
    """Raises Failed."""
    found = ask(loaded, PATH, service="littoral")
    if as_json:
        print(json.dumps(found, indent=2))
        return 0
    lines = [("machine", "address", "hosts", "busy with")]
    for each in found["machines"]:
        lines.append((each["machine"], each["address"], str(each["hosts"]), " ".join(each["jobs"]) or "-"))
    print("".join(aligned(lines, 2)) if len(lines) > 1 else "no machine offers hosts\n", end="")
    return 0


def join(loaded: Loaded, file: Path) -> int:
    """Raises Failed."""
    from littoral.net.tls import client_context
    from littoral.site.lifecycle import run
    from littoral.site.trainingmachine import Region

    settings = loaded.settings
    if settings.insecure_no_sandbox:
        raise Failed("a machine that runs others' scripts does so in a sandbox: not with --insecure-no-sandbox")
    try:
        found = json.loads(file.read_text("utf-8"))
        if found["form"] != WORKER.form:
            raise Failed(f"{file} is no bundle of littoral worker bundle")
        above, ca = urlsplit(str(found["upstream"])), str(found["ca"]).encode()
        pair = str(found["certificatePem"]).encode(), str(found["privateKey"]).encode()
        region = Region(str(above.hostname), above.port or 8883, client_context(ca=ca, pair=pair), str(found["name"]))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise Failed(f"{file} cannot be used: {problem}") from problem
    if loaded.sources["data_dir"] == "default":  # a place's own is its own
        settings = replace(settings, data_dir=settings.data_dir.with_name(f"worker-{region.thing}"))
    print(f"{region.thing} offers hosts to {region.host}:{region.port}", file=sys.stderr)
    return run(settings, partial(_made, region))


async def _made(region: Any, settings: Settings) -> Any:
    from littoral.site.trainingmachine import TrainingMachine

    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return TrainingMachine(settings, region)
