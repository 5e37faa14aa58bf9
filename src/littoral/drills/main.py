"""``littoral drill …``: which drill, its options and its exit status."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from littoral.drills.outage import Outage, Plan
from littoral.drills.report import findings_of, write
from littoral.tour.monitors import NotConnected
from littoral.tour.places import PlaceError
from littoral.tour.provision import NotProvisioned
from littoral.tour.recordings import RecordingError
from littoral.tour.report import show

FULL = Plan(records=4320)  # six hours at one in five seconds
SHORT = Plan(records=120, pace=20.0, disk=96 * 1024**2)  # ten minutes


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="littoral drill", description="Try a bad day and say what held.")
    drills = options.add_subparsers(title="drills", metavar="DRILL", required=True)
    outage = drills.add_parser("outage", help="a ward without its link for hours", description=Outage.__doc__)
    outage.add_argument("--short", action="store_true", help="ten minutes of records, not six hours")
    outage.add_argument(
        "--when-full", choices=("refuse", "dropOldest"), default="refuse", help="what a full spool does (refuse)"
    )
    outage.add_argument(
        "--report", type=Path, default=Path("outage-report"), help="folder of report.json and outage.png"
    )
    return options


def run(arguments: Sequence[str]) -> int:
    """Exit status: 0 all goals hold, 1 one is missed or a place broke, 2 bad usage, 130 interrupted."""
    options = parser().parse_args(arguments)
    plan = replace(SHORT if options.short else FULL, when_full=options.when_full)
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="littoral-drill-"))
    try:
        with ExitStack() as cleanup:
            seen = Outage(console, folder, plan, cleanup).run()
    except (PlaceError, NotProvisioned, NotConnected, RecordingError, OSError) as problem:
        console.print(f"[red]The drill broke off:[/red] {problem}", highlight=False)
        console.print(f"Logs are kept in {folder}")
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted: everything was stopped.")
        return 130
    found = findings_of(seen)
    write(options.report, seen, found)
    show(console, found, "What the drill saw")
    console.print(f"Report: {options.report.resolve()}")
    for check in found.failed:
        print(f"littoral drill: missed: {check.claim}: {check.seen}", file=sys.stderr)
    if found.failed:
        console.print(f"Logs are kept in {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0
