"""Windows to learn from: recorded and invented pulses, disturbed or not, with what is true of the judged second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from littoral.tour.ward.disturbed import ARTEFACTS, IRREGULAR, Chance, Mask
from littoral.tour.ward.pulse import JUDGED, RATE, SECONDS, Signal, window
from littoral.tour.ward.recorded import Part

PIECE = 14 * RATE  # of which a window is cut somewhere, so that a disturbance may lie anywhere in it
TOUCHED = 0.25  # share of the judged second from which on a disturbance counts; less (but some) is not learnt from


@dataclass(frozen=True, slots=True)
class Examples:
    """``windows`` (n, 1, 256); ``truth`` and ``weights`` (n, 2): artefact, irregular. Weight 0: truth is unknown."""

    windows: Signal
    truth: Signal
    weights: Signal


def invented(chance: Chance) -> Signal:
    """A pulse that nobody had: a systolic wave, its undershoot and a dicrotic one, at 45 to 150 beats a minute."""
    time = np.arange(PIECE) / RATE
    beat = 60 / chance.uniform(45, 150)
    count = int(PIECE / RATE / beat) + 3
    breath = np.sin(2 * np.pi * (np.arange(count) * beat * chance.uniform(0.15, 0.4) + chance.random()))
    lengths = beat * (1 + chance.uniform(0, 0.05) * breath + chance.uniform(0, 0.03) * chance.standard_normal(count))
    starts = np.concatenate([[0.0], np.cumsum(lengths)[:-1]]) - chance.uniform(0, 2) * beat
    width = chance.uniform(0.035, 0.11) * beat ** chance.uniform(0.3, 1)
    heights = (1 + chance.uniform(0, 0.2) * breath) * (1 + 0.04 * chance.standard_normal(count))
    wave = np.zeros(PIECE)
    parts = (
        (0.2, 1.0, 1.0),
        (chance.uniform(0.3, 0.38), -chance.uniform(0, 0.5), 1.2),
        (chance.uniform(0.45, 0.65), chance.uniform(0, 0.6), chance.uniform(1, 2)),
    )
    for start, length, height in zip(starts, lengths, heights, strict=True):
        for place, tall, wide in parts:
            wave += height * tall * np.exp(-0.5 * ((time - start - place * length) / (width * wide)) ** 2)
    drift = chance.uniform(0, 0.4) * np.sin(2 * np.pi * (time * chance.uniform(0.1, 0.35) + chance.random()))
    grain = chance.uniform(0, 0.02) * chance.standard_normal(PIECE)
    return (wave + drift + grain).astype(np.float32)


def recorded(part: Part, chance: Chance) -> tuple[Signal, Mask]:
    """A piece of a recording, played 0.6 to 1.7 times as fast, with its marks."""
    speed = chance.uniform(0.6, 1.7)
    first = chance.uniform(0, len(part.signal) - PIECE * speed - 1)
    places = first + np.arange(PIECE) * speed
    piece = np.interp(places, np.arange(len(part.signal)), part.signal).astype(np.float32)
    if chance.random() < 0.3:  # another sensor: its filter lets the slope through
        piece = np.gradient(piece).astype(np.float32) * 4 + chance.uniform(0, 0.5) * piece
    grain = chance.uniform(0, 0.02) * np.ptp(piece) * chance.standard_normal(PIECE)
    return piece + grain.astype(np.float32), part.unusable[places.astype(np.int64)]


def examples(part: Part, count: int, chance: Chance) -> Examples:
    """Half from the recording, half invented; a quarter of either is left as it is."""
    length = SECONDS * RATE
    shown = np.empty((count, 1, length), np.float32)
    truth, weights = np.zeros((count, 2), np.float32), np.ones((count, 2), np.float32)
    for n in range(count):
        if n % 2:
            piece, bad = recorded(part, chance)
        else:
            piece, bad = invented(chance), np.zeros(PIECE, np.bool_)
        odd = np.zeros(PIECE, np.bool_)
        kind = chance.random()
        if kind > 0.55 and not bad.any():  # beats can be found in a clean piece only
            piece, odd = IRREGULAR[int(chance.integers(len(IRREGULAR)))](piece, chance)
        if 0.25 < kind < 0.6:
            piece, hit = ARTEFACTS[int(chance.integers(len(ARTEFACTS)))](piece, chance)
            bad = bad | hit
        first = _first(bad | odd, chance)
        shown[n, 0] = window(piece[first : first + length])
        judged = slice(first + JUDGED[0] * RATE, first + JUDGED[1] * RATE)
        _tell(float(bad[judged].mean()), float(odd[judged].mean()), truth[n], weights[n])
    return Examples(shown, truth, weights)


def _first(touched: Mask, chance: Chance) -> int:
    """Where the window begins: twice as often so that what is judged is disturbed as chance would have it."""
    starts = np.arange(PIECE - SECONDS * RATE)
    if touched.any() and chance.random() < 0.5:
        judged = touched[starts + int((JUDGED[0] + 0.5) * RATE)]
        starts = starts[judged] if judged.any() else starts
    return int(chance.choice(starts))


def _tell(bad: float, odd: float, truth: Signal, weights: Signal) -> None:
    truth[:] = bad >= TOUCHED, odd >= TOUCHED
    weights[:] = 0.0 if 0 < bad < TOUCHED else 1.0, 0.0 if bad or 0 < odd < TOUCHED else 1.0
