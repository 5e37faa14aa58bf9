"""What the public suites share: a place to run them against, and what pytest's report says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from littoral.tour.places import PlaceProcess

FREE_PORTS = ("--port", "0", "--edge-port", "0", "--edge-tls-port", "0", "--mqtt-port", "0", "--mqtt-tls-port", "0")
LITTORAL = Path(sys.executable).with_name("littoral")


def place(stack: ExitStack, folder: Path, *options: str, kind: str = "") -> tuple[Mapping[str, str], str, str]:
    """Addresses by name, access key and secret of a place that ends with the stack; kind "" is region and edge."""
    process = PlaceProcess("suite", kind, folder, [*FREE_PORTS, *options], {})
    stack.callback(process.stop)
    process.wait_ready()
    argv = [str(LITTORAL), "credentials", "--data-dir", str(folder), "--export"]
    exported = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    keys = dict(re.findall(r"export (\w+)=([^;\s]*)", exported))
    return process.urls, keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"]


@dataclass(frozen=True, slots=True)
class Case:
    file: str  # its module
    name: str
    outcome: str  # passed, failed, skipped, xfailed
    why: str = ""


def cases(report: Path) -> Iterator[Case]:
    """Of pytest's --junitxml."""
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag: child for child in case}
        wrong = kinds.get("failure", kinds.get("error"))
        skipped = kinds.get("skipped")
        outcome = "failed" if wrong is not None else "passed"
        if wrong is None and skipped is not None:
            outcome = "xfailed" if skipped.get("type") == "pytest.xfail" else "skipped"
        why = (wrong.get("message") or "") if wrong is not None else ""
        yield Case(case.get("classname", "").rpartition(".")[2], case.get("name", ""), outcome, why[:300])


def show(report: Path, group_of: Callable[[Case], str], *, failed: bool) -> None:
    """A table of the outcomes by group; with ``failed`` the names of those that failed first, and why in a line."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for case in cases(report):
        counts[group_of(case)][case.outcome] += 1
        if failed and case.outcome == "failed":
            print(f"{case.file}::{case.name}: {case.why.splitlines()[0] if case.why else ''}")
    print(f"{'':<32} passed failed skipped xfailed")
    for group, found in [*sorted(counts.items()), ("all", sum(counts.values(), Counter()))]:
        print(f"{group:<32} {found['passed']:>6} {found['failed']:>6} {found['skipped']:>7} {found['xfailed']:>7}")
