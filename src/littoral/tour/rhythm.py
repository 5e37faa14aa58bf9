"""What the ward's model said on the core, held against what a person marked in the recordings; and its plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from littoral.tour.findings import Findings, Outage, latency
from littoral.tour.recordings import SHIPPED, Recording
from littoral.tour.report import drawn
from littoral.tour.ward.pulse import JUDGED, SECONDS
from littoral.tour.ward.recorded import UNUSABLE, Stretch

HELD_OUT = 1  # the second bed: another person than the one whose pulse the model has learnt from
NEAR = 1  # seconds by which a judgement may be beside a mark: both are of whole seconds

Judgements = Mapping[str, Sequence[dict[str, Any]]]


def marks(patient: int) -> list[Stretch]:
    """The unusable stretches of a shipped patient, in seconds of what is replayed."""
    file, _, _, start = SHIPPED[patient]
    return [(first - start, last - start) for first, last in UNUSABLE[Path(file).stem] if last > start]


def compare(findings: Findings, judged: Judgements, outage: Outage) -> None:
    """What holds of any recording: each second is judged once, in order, with the link up or down."""
    gaps = [bed for bed, told in judged.items() if [t["second"] for t in told] != list(range(6, 6 + len(told)))]
    everything = [told for of_bed in judged.values() for told in of_bed]
    findings.check("the model judged each second once", bool(everything) and not gaps, ", ".join(gaps) or "no gap")
    down = [told for told in everything if outage.covers(told["sent_at"])]
    findings.check("it judged while the link was down", bool(down), f"{len(down)} seconds")
    findings.row("the model's judgements", latency(everything))


def compare_marks(findings: Findings, told: Sequence[dict[str, Any]]) -> None:
    """The bed of the person that the model has not seen: what a person marked is flagged, and little else."""
    flagged = {each["second"] for each in told if each["flag"]}
    seconds = {each["second"] for each in told}
    near = {first: _seconds(first - NEAR, last + NEAR) for first, last in marks(HELD_OUT)}
    inside = {first: near[first] & seconds for first in near if near[first] & seconds}
    found = sum(bool(each & flagged) for each in inside.values())
    elsewhere = seconds - set().union(*near.values())
    wrong = len(elsewhere & flagged)
    seen = f"{found} of {len(inside)} marked stretches flagged, {wrong} of {len(elsewhere)} other seconds"
    findings.row("the model on a person unknown to it", seen)
    held = 2 * found >= len(inside) > 0 and wrong <= 0.05 * len(elsewhere)
    findings.check("the model flags what a person would not use, and little else", held, seen)


def _seconds(first: float, last: float) -> set[int]:
    return set(range(int(first // 1), int(last // 1) + 1))


def doubtful(alarms: Iterable[dict[str, Any]], judged: Judgements, rates: Mapping[str, float], history: float) -> str:
    """How many heart-rate alarms were computed from seconds of which the model flagged one."""
    flagged = {bed: {each["second"] for each in told if each["flag"]} for bed, told in judged.items()}
    count = total = 0
    for alarm in alarms:
        end = alarm["sample"] / rates[alarm["bed"]]
        total += 1
        count += bool(_seconds(max(end - history, 0), end) & flagged.get(alarm["bed"], set()))
    return f"{count} of {total}"


def plot(patient: Recording, told: Sequence[dict[str, Any]], marked: Sequence[Stretch]) -> str:
    """An SVG: the pulse with what a person marked shaded, and below it the model's probabilities."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    figure, (pulse, model) = plt.subplots(2, 1, figsize=(9, 4), sharex=True, height_ratios=(2, 1))
    pulse.plot([n / patient.rate for n in range(len(patient.samples))], patient.samples, linewidth=0.6, color="0.2")
    for number, (first, last) in enumerate(marked):
        pulse.axvspan(max(first, 0), last, color="0.85", label="marked by a person" if number == 0 else None)
    for each in told:
        if each["flag"]:
            pulse.axvspan(each["second"], each["second"] + 1, ymax=0.06, color=COLOURS[each["flag"]])
    for name, colour in COLOURS.items():
        seconds = [each["second"] + 0.5 for each in told]
        model.step(seconds, [each[name] for each in told], where="mid", label=name, color=colour)
    pulse.set_ylabel("pulse")
    pulse.set_xlim(0, len(patient.samples) / patient.rate)
    if marked:
        pulse.legend(loc="upper right")
    model.set_ylabel("probability")
    model.set_xlabel(f"seconds; judged from {JUDGED[0]} on, {SECONDS} s at a time")
    model.legend(loc="upper right")
    return drawn(figure)


COLOURS = {"artefact": "tab:red", "irregular": "tab:blue"}
