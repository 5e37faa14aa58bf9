"""What an outage showed, held against the goals."""

from __future__ import annotations

from dataclasses import asdict

from littoral.drills.frame import Report
from littoral.drills.outage.alarms import P99, judge
from littoral.drills.outage.plot import plot
from littoral.drills.outage.seen import LEAST, SKEW, Seen
from littoral.tour.findings import Findings

RESUME = 2.0  # seconds
RATE = 20_000  # records a second


def report_of(seen: Seen) -> Report:
    found = Findings()
    moments = seen.moments
    found.row("core away for its restart", f"{moments['again'] - moments['killed']:.1f} s")
    judge(found, seen)
    _records(found, seen)
    _places(found, seen)
    _drain(found, seen)
    return Report(found, lambda axes: plot(axes, seen, P99), _details(seen))


def _records(found: Findings, seen: Seen) -> None:
    records = seen.records
    assert records is not None
    found.row("records accepted / at the region", f"{records.accepted} / {records.arrived}")
    found.row("left in the spool at the end", f"{seen.left} bytes")
    if seen.plan.when_full == "refuse":
        found.check("nothing accepted is lost", not records.lost, f"{records.lost} of {records.accepted}")
    else:
        found.check(
            "only the oldest made room, in one stretch a bed", 0 < records.gaps <= 20, f"{records.lost} records"
        )
    found.check("nothing is doubled at the region", not records.doubled, records.doubled)
    found.check("order per bed holds", not records.disordered, f"{records.disordered} out of order")


def _places(found: Findings, seen: Seen) -> None:
    found.row("clock of the core after its restart", f"{SKEW} s ahead")
    share = f"{seen.spooled_bytes} of {seen.spool_limit} bytes"
    found.check("the spool never passes its limit", seen.spooled_bytes <= seen.spool_limit, share)
    if seen.disk_filled:
        refused = f"{seen.disk_refused} publishes refused"
        found.check("a full disk refuses, and accepts again", seen.disk_refused > 0, refused)
    else:
        found.row("disk", "not filled: only root can mount one")


def _drain(found: Findings, seen: Seen) -> None:
    resumed = f"{seen.resumed_after:.2f} s"
    found.check(f"the link resumes within {RESUME:g} s", 0 < seen.resumed_after <= RESUME, resumed)
    seconds, messages = seen.draining
    found.row("drained", f"{seen.drained:.0f} messages, {messages:.0f} of them in {seconds:.2f} s between two looks")
    for name, spent in seen.drain_cpu.items():
        found.row(f"CPU meanwhile, {name}", f"{spent * 1e6 / max(1.0, seen.drained):.0f} µs a message")
    goal = f"the spool drains at {RATE} records a second"
    if seen.drained < seen.due - seen.sent[0][1]:
        found.check(goal, False, "it did not drain to its end")
    elif seen.drain_rate is None and seen.drain_rate_at_least >= RATE:
        found.check(goal, True, f"{seen.drain_rate_at_least:.0f} a second at least, waits included")
    elif seen.drain_rate is None:
        found.row(goal, f"not judged: less than {LEAST:g} s of draining was seen")
    else:
        found.check(goal, seen.drain_rate >= RATE, f"{seen.drain_rate:.0f} a second")


def _details(seen: Seen) -> dict[str, object]:
    return {
        "moments": seen.moments,
        "records": asdict(seen.records) if seen.records is not None else None,
        "missing": seen.missing,
        "drain": {"messages_a_second": seen.drain_rate, "resumed_after_s": seen.resumed_after},
        "alarms_ms": [None if heard is None else round((heard - sent) * 1000, 2) for sent, heard in seen.alarms],
    }
