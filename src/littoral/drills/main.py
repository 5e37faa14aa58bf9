"""``littoral drill …``: which drill and its options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from littoral.drills.cablepull.drill import CablePull
from littoral.drills.cablepull.drill import Plan as CableCuts
from littoral.drills.frame import Drill, carry_out
from littoral.drills.outage.drill import Outage
from littoral.drills.outage.seen import Plan
from littoral.drills.powercut import seen as powercut
from littoral.drills.powercut.drill import PowerCut
from littoral.drills.stolendisk.drill import StolenDisk

FULL = Plan(records=4320)  # six hours at one in five seconds
SHORT = Plan(records=120, disk=96 * 1024**2)  # ten minutes


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="littoral drill", description="Try a bad day and say what held.")
    drills = options.add_subparsers(title="drills", metavar="DRILL", dest="drill", required=True)
    outage = drills.add_parser("outage", help="a ward without its link for hours", description=Outage.__doc__)
    outage.add_argument("--short", action="store_true", help="ten minutes of records, not six hours")
    outage.add_argument(
        "--when-full", choices=("refuse", "dropOldest"), default="refuse", help="what a full spool does (refuse)"
    )
    outage.add_argument(
        "--report", type=Path, default=Path("outage-report"), help="folder of report.json and outage.png"
    )
    cut = drills.add_parser(
        "power-cut", help="a region whose disk loses its power at work (needs root)", description=PowerCut.__doc__
    )
    cut.add_argument("--rounds", type=int, default=20, help="cuts (20)")
    cut.add_argument("--seed", type=int, default=1, help="of the moments and of the clients' choices (1)")
    cut.add_argument(
        "--report", type=Path, default=Path("power-cut-report"), help="folder of report.md, report.json, power-cut.png"
    )
    stolen = drills.add_parser(
        "stolen-disk", help="a box whose disk a thief reads to the last byte", description=StolenDisk.__doc__
    )
    stolen.add_argument(
        "--report", type=Path, default=Path("stolen-disk-report"), help="folder of report.md and report.json"
    )
    pulled = drills.add_parser(
        "cable-pull", help="a transfer into a box that is cut again and again", description=CablePull.__doc__
    )
    pulled.add_argument("--rounds", type=int, default=4, help="cuts of each of three kinds (4)")
    pulled.add_argument("--seed", type=int, default=1, help="of the moments (1)")
    pulled.add_argument(
        "--report",
        type=Path,
        default=Path("cable-pull-report"),
        help="folder of report.md, .json and cable-pull.png",
    )
    return options


def run(arguments: Sequence[str]) -> int:
    """Exit status: 0 all goals hold, 1 one is missed or a place broke, 2 bad usage, 3 this machine does not allow the
    drill, 130 interrupted."""
    options = parser().parse_args(arguments)
    return carry_out(options.drill, _chosen(options), options.report)


def _chosen(options: argparse.Namespace) -> Drill:
    if options.drill == "power-cut":
        cuts = powercut.Plan(options.rounds, options.seed)
        return lambda say, folder, cleanup: PowerCut(say, folder, cuts, cleanup).run()
    if options.drill == "stolen-disk":
        return lambda say, folder, cleanup: StolenDisk(say, folder, cleanup).run()
    if options.drill == "cable-pull":
        pulls = CableCuts(options.rounds, options.seed)
        return lambda say, folder, cleanup: CablePull(say, folder, pulls, cleanup).run()
    plan = replace(SHORT if options.short else FULL, when_full=options.when_full)
    return lambda say, folder, cleanup: Outage(say, folder, plan, cleanup).run()
