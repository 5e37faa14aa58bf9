"""How good the model is on recordings that it has not seen: ``python -m littoral.tour.ward.evaluate [MODEL]``.

Prints the table that docs/models.md shows. Thresholds of the model and of the rule are chosen alike, on the part that
is kept for choosing, for the best F1 of flagged seconds; then nothing is chosen any more.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from littoral.tour.ward.disturbed import ARTEFACTS, IRREGULAR, UNSEEN, Mask
from littoral.tour.ward.pulse import ANSWERS, JUDGED, RATE, SECONDS, Signal, windows
from littoral.tour.ward.recorded import CHOOSING, HELD_OUT, Part, part, shipped_folder
from littoral.tour.ward.rule import Rule

PIECE = 16 * RATE  # of clean signal, in which one disturbance is made
EACH = 60  # disturbances of a kind
SPEEDS = (1.0, 0.8, 0.9, 1.1, 1.25)  # at which what is clean is played
NEAR = 2  # seconds within which an alarm belongs to a disturbance, and two alarms are one
LEVELS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

Judge = Callable[[Signal], Mask]  # a signal to (n, 2) flags of its seconds from JUDGED[0] on


@dataclass(frozen=True, slots=True)
class Piece:
    """A signal, and what is true of its samples: (artefact, irregular)."""

    kind: str
    signal: Signal
    truth: tuple[Mask, Mask]

    def seconds(self) -> Mask:
        """(n, 2): of which judged seconds it is true, from a quarter of the second on."""
        count = (len(self.signal) - SECONDS * RATE) // RATE + 1
        shares = [
            [mask[(n + JUDGED[0]) * RATE : (n + JUDGED[1]) * RATE].mean() for mask in self.truth] for n in range(count)
        ]
        return np.array(shares) >= 0.25


class Model:
    """An ONNX model and the probabilities from which on it flags."""

    def __init__(self, file: Path, levels: tuple[float, float] = (0.5, 0.5)) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.levels = levels

    def probabilities(self, signal: Signal) -> Any:
        return self._session.run(None, {"pulse": windows(signal)})[0]

    def flags(self, signal: Signal) -> Mask:
        flagged: Mask = self.probabilities(signal) >= np.array(self.levels)
        return flagged


def clean_pieces(source: Part) -> list[Signal]:
    """Stretches of 16 s in which nothing is marked, one from every second on."""
    starts = range(0, len(source.signal) - PIECE + 1, RATE)
    return [source.signal[at : at + PIECE] for at in starts if not source.unusable[at : at + PIECE].any()]


def disturbed_pieces(parts: Sequence[Part], each: int, seed: int) -> Iterator[Piece]:
    """``each`` pieces of each kind, with one disturbance that lies where seconds are judged."""
    chance = np.random.default_rng(seed)
    clean = [piece for source in parts for piece in clean_pieces(source)]
    judged = slice(JUDGED[0] * RATE, PIECE - RATE)
    for make in (*ARTEFACTS, *UNSEEN, *IRREGULAR):
        made = 0
        while made < each:
            signal, mask = make(clean[int(chance.integers(len(clean)))], chance)
            if not mask.any() or mask[: judged.start].any() or mask[judged.stop :].any():
                continue
            nothing = np.zeros(PIECE, np.bool_)
            yield Piece(make.__name__, signal, (nothing, mask) if make in IRREGULAR else (mask, nothing))
            made += 1


def chosen(folder: Path, model: Model) -> tuple[tuple[float, float], Rule]:
    """The levels of the model and the rule that flag the seconds of the choosing part best."""
    source = part(folder, *CHOOSING)
    pieces = [*disturbed_pieces([source], 20, seed=1)]
    nothing = np.zeros(len(source.signal), np.bool_)
    pieces.append(Piece("recorded", source.signal, (source.unusable, nothing)))
    truth = np.concatenate([either(piece.seconds()) for piece in pieces])
    told = np.concatenate([model.probabilities(piece.signal) for piece in pieces])
    levels = max(itertools.product(LEVELS, LEVELS), key=lambda pair: f1(either(told >= np.array(pair)), truth))
    rules = [Rule(*each) for each in itertools.product((0.3, 0.5, 0.6), (1.5, 2.0, 2.5), (0.15, 0.2, 0.3, 0.4))]
    best = max(rules, key=lambda rule: f1(np.concatenate([either(rule.flags(p.signal)) for p in pieces]), truth))
    return levels, best


def f1(flagged: Mask, truth: Mask) -> float:
    both = float((flagged & truth).sum())
    return 2 * both / max(float(flagged.sum() + truth.sum()), 1.0)


@dataclass(frozen=True, slots=True)
class Score:
    """``found``: share of disturbances flagged, by kind; ``named``: those of them called what they are."""

    found: dict[str, float]
    named: dict[str, float]
    marked: tuple[int, int]  # stretches marked by eye: found, all
    false_alarms: int
    hours: float


def score(folder: Path, judge: Judge) -> Score:
    parts = [part(folder, *each) for each in HELD_OUT]
    found: dict[str, list[bool]] = {}
    named: dict[str, list[bool]] = {}
    for piece in disturbed_pieces(parts, EACH, seed=2):
        truth = spread(either(piece.seconds()), 1)
        flags = judge(piece.signal)
        column = 1 if piece.truth[1].any() else 0
        found.setdefault(piece.kind, []).append(bool((either(flags) & truth).any()))
        named.setdefault(piece.kind, []).append(bool((flags[:, column] & truth).any()))
    seen = [marked(source, judge(source.signal)) for source in parts]
    false, seconds = zip(*(false_alarms(source, speed, judge) for source in parts for speed in SPEEDS), strict=True)
    return Score(
        {kind: float(np.mean(each)) for kind, each in found.items()},
        {kind: float(np.mean(each)) for kind, each in named.items()},
        (sum(hit for hit, _ in seen), sum(all_ for _, all_ in seen)),
        sum(false),
        sum(seconds) / 3600,
    )


def marked(source: Part, flags: Mask) -> tuple[int, int]:
    """How many of the stretches marked by eye have a flagged second, and how many there are."""
    truth = either(Piece("", source.signal, (source.unusable, np.zeros_like(source.unusable))).seconds())
    stretches = runs(truth)
    return sum(bool(flags[max(first - 1, 0) : last + 1].any()) for first, last in stretches), len(stretches)


def false_alarms(source: Part, speed: float, judge: Judge) -> tuple[int, int]:
    """Alarms that are near nothing marked, and the seconds in which there could have been one."""
    places = np.arange(0, len(source.signal) - 1, speed)
    signal = np.interp(places, np.arange(len(source.signal)), source.signal).astype(np.float32)
    bad = source.unusable[places.astype(np.int64)]
    truth = either(Piece("", signal, (bad, np.zeros_like(bad))).seconds())
    alarms = runs(spread(either(judge(signal)), 1))
    allowed = spread(truth, NEAR)
    return sum(not allowed[first:last].any() for first, last in alarms), int((~allowed).sum())


def either(flags: Mask) -> Mask:
    """Artefact or irregular."""
    return np.logical_or(flags[:, 0], flags[:, 1])


def spread(flags: Mask, by: int) -> Mask:
    """Also the seconds before and after."""
    return np.convolve(flags.astype(np.int64), np.ones(2 * by + 1, np.int64), "same") > 0


def runs(flags: Mask) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def table(model: Score, rule: Score) -> str:
    lines = ["| of 100 | model flags | and names it | thresholds flag | and name it |", "|---|---|---|---|---|"]
    for kind in model.found:
        shares = (model.found[kind], model.named[kind], rule.found[kind], rule.named[kind])
        lines.append(f"| {kind} | " + " | ".join(f"{100 * share:.0f}" for share in shares) + " |")
    by_eye = [f"{each.marked[0]} of {each.marked[1]}" for each in (model, rule)]
    alarms = [f"{each.false_alarms / each.hours:.0f} ({each.false_alarms})" for each in (model, rule)]
    lines.append(f"| marked by eye | {by_eye[0]} | | {by_eye[1]} | |")
    lines.append(f"| false alarms an hour ({60 * model.hours:.0f} minutes) | {alarms[0]} | | {alarms[1]} | |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("model", type=Path, nargs="?", default=Path(__file__).with_name("model.onnx"))
    options.add_argument("--lineage", type=Path, help="what the training wrote of itself: the results are added to it")
    told = options.parse_args(arguments)
    folder = shipped_folder()
    model = Model(told.model)
    model.levels, rule = chosen(folder, model)
    found = score(folder, model.flags)
    print(f"model: artefact from {model.levels[0]}, irregular from {model.levels[1]}; {rule}\n")
    print(table(found, score(folder, rule.flags)))
    if told.lineage:
        lineage = json.loads(told.lineage.read_text())
        lineage |= {
            "model_sha256": hashlib.sha256(told.model.read_bytes()).hexdigest(),
            "levels": dict(zip(ANSWERS, model.levels, strict=True)),
            "held_out": asdict(found),
        }
        told.lineage.write_text(json.dumps(lineage, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
