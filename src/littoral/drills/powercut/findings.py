"""What the cuts showed, held against the promise: nothing acknowledged is lost, nothing torn is shown."""

from __future__ import annotations

import statistics
from dataclasses import asdict

from littoral.drills.frame import Report
from littoral.drills.powercut.plot import plot
from littoral.drills.powercut.seen import Seen
from littoral.tour.findings import Findings

MOST_SHOWN = 5


def report_of(seen: Seen) -> Report:
    found = Findings()
    found.row("power cuts", len(seen.rounds))
    found.row("changes of objects acknowledged", sum(each.objects for each in seen.rounds))
    records, invocations = seen.records, seen.invocations
    found.row("records acknowledged (MQTT, QoS 1)", records["accepted"])
    found.row("asynchronous invocations accepted", invocations["accepted"])
    ready = [each.ready for each in seen.rounds]
    found.row("ready again after a cut", f"median {statistics.median(ready):.1f} s, at most {max(ready):.1f} s")
    shown = "; ".join(seen.problems[:MOST_SHOWN]) or "nothing"
    found.check("objects are as their clients were told, and whole", not seen.problems, shown)
    found.check("no acknowledged record is lost", not records["lost"], f"{records['lost']} of {records['accepted']}")
    found.check("no record is doubled that was sent once", not records["doubled"], records["doubled"])
    found.check("order per bed holds", not records["disordered"], f"{records['disordered']} out of order")
    never = f"{invocations['never run']} of {invocations['accepted']}"
    found.check("every accepted event was run", not invocations["never run"], f"{never} not")
    enough = min(records["accepted"], invocations["accepted"], sum(each.objects for each in seen.rounds))
    found.check("there was something to lose", enough > 0, enough)
    return Report(found, lambda axes: plot(axes, seen), asdict(seen))
