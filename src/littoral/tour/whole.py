"""A ward from end to end.

A region, an edge location and a core start as processes of their own; everything is set up through the public
APIs; recorded patients are replayed; the link between core and region is cut and restored; and what is claimed is
checked. The steps are the functions of ``Tour`` in the order in which ``go`` calls them.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from littoral.tour.findings import Findings
from littoral.tour.monitors import NotConnected
from littoral.tour.places import PlaceError
from littoral.tour.provision import NotProvisioned
from littoral.tour.recordings import Recording
from littoral.tour.report import show
from littoral.tour.steps import Tour, Ward


def go(options: argparse.Namespace, patients: list[Recording]) -> int:
    """Exit status: 0 all claims hold, 1 a check failed or a place broke, 130 interrupted."""
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    findings = Findings()
    folder = Path(tempfile.mkdtemp(prefix="littoral-tour-"))
    failed = True
    with ExitStack() as cleanup:
        ward = Ward(patients, options.speed, options.low, options.high, shipped=options.recording is None)
        tour = Tour(console, folder, ward, findings, cleanup)
        try:
            tour.start_cloud()
            tour.provision()
            tour.start_core()
            tour.replay()
            tour.compare()
            tour.browse()
            tour.count_starts()
            tour.report(options.report)
            failed = bool(findings.failed)
            show(console, findings)
            console.print(f"Report: {(options.report / 'index.html').resolve()}")
            if options.keep:
                tour.keep()
        except (PlaceError, NotProvisioned, NotConnected) as problem:
            console.print(f"[red]The tour broke off:[/red] {problem}", highlight=False)
            console.print(f"Logs are kept in {folder}")
            return 1
        except KeyboardInterrupt:
            console.print("Interrupted: stopping every place.")
            return 130
    if failed:
        for check in findings.failed:
            print(f"littoral tour: failed: {check.claim}: {check.seen}", file=sys.stderr)
        console.print(f"Logs are kept in {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0
