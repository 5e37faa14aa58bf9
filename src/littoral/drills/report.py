"""What a drill of an outage showed: checks against the goals, as text, JSON and a plot."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

from littoral.drills.outage import SKEW, Seen
from littoral.tour.findings import Findings

MEDIAN, P99 = 10.0, 50.0  # ms from publish to alarm
RESUME = 2.0  # seconds
RATE = 20_000  # records a second
AWAY = 2.0  # seconds until a monitor is connected again to a core that came back


def findings_of(seen: Seen) -> Findings:
    found = Findings()
    _alarms(found, seen)
    records = seen.records
    assert records is not None
    refuse = seen.plan.when_full == "refuse"
    found.row("records accepted / at the region", f"{records.accepted} / {records.arrived}")
    found.row("clock of the core after its restart", f"{SKEW} s ahead")
    if refuse:
        found.check("nothing accepted is lost", not records.lost, f"{records.lost} of {records.accepted}")
    else:
        found.check(
            "only the oldest made room, in one stretch a bed", 0 < records.gaps <= 20, f"{records.lost} records"
        )
    found.check("nothing is doubled at the region", not records.doubled, records.doubled)
    found.check("order per bed holds", not records.disordered, f"{records.disordered} out of order")
    share = f"{seen.spooled_bytes} of {seen.spool_limit} bytes"
    found.check("the spool never passes its limit", seen.spooled_bytes <= seen.spool_limit, share)
    if seen.disk_filled:
        refused = f"{seen.disk_refused} publishes refused"
        found.check("a full disk refuses, and accepts again", seen.disk_refused > 0, refused)
    else:
        found.row("disk", "not filled: only root can mount one")
    found.check(
        f"the link resumes within {RESUME:g} s", 0 < seen.resumed_after <= RESUME, f"{seen.resumed_after:.2f} s"
    )
    rate = drain_rate(seen)
    found.check(f"the spool drains at {RATE} records a second", rate >= RATE, f"{rate:.0f} a second")
    return found


def _alarms(found: Findings, seen: Seen) -> None:
    moments = seen.moments
    away = moments["killed"], moments["again"] + AWAY
    asked = [each for each in seen.alarms if each[0] >= moments["beds"] and not away[0] - 0.1 <= each[0] <= away[1]]
    times = sorted((heard - sent) * 1000 for sent, heard in asked if heard is not None)
    median, p99 = (statistics.median(times), times[len(times) * 99 // 100]) if times else (0.0, 0.0)
    found.row("core away for its restart", f"{moments['again'] - moments['killed']:.1f} s")
    found.check("every alarm was heard", 0 < len(times) == len(asked), f"{len(times)} of {len(asked)}")
    found.check(f"alarms: median ≤ {MEDIAN:g} ms", 0 < median <= MEDIAN, f"{median:.1f} ms")
    found.check(f"alarms: p99 ≤ {P99:g} ms", 0 < p99 <= P99, f"{p99:.1f} ms")


def drain_rate(seen: Seen) -> float:
    """Messages a second over the time in which the link drained."""
    if not seen.sent or seen.drained_in <= 0:
        return 0.0
    return (seen.sent[-1][1] - seen.sent[0][1]) / seen.drained_in


def write(folder: Path, seen: Seen, found: Findings) -> None:
    """``report.json`` and ``outage.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "checks": [asdict(check) for check in found.checks],
        "rows": dict(found.rows),
        "moments": seen.moments,
        "records": asdict(seen.records) if seen.records is not None else None,
        "drain": {"messages_a_second": drain_rate(seen), "resumed_after_s": seen.resumed_after},
        "alarms_ms": [None if heard is None else round((heard - sent) * 1000, 2) for sent, heard in seen.alarms],
    }
    (folder / "report.json").write_text(json.dumps(document, indent=1))
    plot(seen, folder / "outage.png")


def plot(seen: Seen, file: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    began = seen.moments["beds"]
    figure, axes = pyplot.subplots(figsize=(9, 3.4))
    heard: list[Any] = [
        (sent - began, (at - sent) * 1000) for sent, at in seen.alarms if at is not None and sent >= began
    ]
    axes.plot([x for x, _ in heard], [y for _, y in heard], ".", markersize=3, label="publish to alarm")
    axes.axhline(P99, color="0.6", linewidth=0.8, linestyle=":", label=f"{P99:g} ms")
    spans = {"link down": ("cut", "restored", "0.9"), "core away": ("killed", "again", "tab:red")}
    spans |= {"disk full": ("disk full", "disk free", "tab:orange"), "draining": ("restored", "drained", "tab:green")}
    for label, (first, last, colour) in spans.items():
        if first in seen.moments and last in seen.moments:
            bounds = seen.moments[first] - began, seen.moments[last] - began
            axes.axvspan(*bounds, color=colour, alpha=0.5 if colour == "0.9" else 0.3, label=label, linewidth=0)
    axes.set_yscale("log")
    axes.set_xlabel("seconds")
    axes.set_ylabel("ms")
    axes.legend(loc="upper left", fontsize=8, ncols=3)
    figure.savefig(file, bbox_inches="tight", dpi=110)
    pyplot.close(figure)
