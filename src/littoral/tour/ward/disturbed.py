"""What is done to a clean pulse to make an artefact or an irregular beat of a known place.

Real disturbances are few and nobody annotated them, so they are made: each function below takes a signal and returns
a changed copy with the samples that are changed. Magnitudes are in units of the pulse's own usual range.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from littoral.tour.ward.pulse import RATE, Signal

Mask = npt.NDArray[np.bool_]
Made = tuple[Signal, Mask]
Chance = np.random.Generator


def beats(signal: Signal) -> npt.NDArray[np.int64]:
    """The tops of a clean pulse: the highest of each stretch above a moving mean, a third of a second apart or more."""
    mean = np.convolve(signal, np.ones(RATE) / RATE, "same")
    above = signal > mean + 0.15 * np.ptp(signal)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], above.astype(np.int8), [0]])))
    tops = [first + int(np.argmax(signal[first:last])) for first, last in edges.reshape(-1, 2)]
    kept: list[int] = []
    for top in tops:
        if kept and top - kept[-1] < RATE / 3:
            if signal[top] > signal[kept[-1]]:
                kept[-1] = top
        else:
            kept.append(top)
    return np.array(kept, np.int64)


def usual(signal: Signal) -> float:
    """The range of a usual second."""
    whole = signal[: len(signal) // RATE * RATE].reshape(-1, RATE)
    return float(np.median(np.ptp(whole, axis=1)))


def smooth(chance: Chance, length: int, low: float, high: float) -> Signal:
    """Noise between two frequencies in Hz, of range about 1."""
    whole = max(length, 4 * RATE)
    spectrum = np.fft.rfft(chance.standard_normal(whole))
    frequency = np.fft.rfftfreq(whole, 1 / RATE)
    spectrum[(frequency < low) | (frequency > high)] = 0
    noise = np.fft.irfft(spectrum, whole)[:length]
    return (noise / max(float(np.ptp(noise)), 1e-6)).astype(np.float32)


def _stretch(signal: Signal, chance: Chance, shortest: float, longest: float) -> slice:
    length = min(int(chance.uniform(shortest, longest) * RATE), len(signal) // 2)
    first = int(chance.integers(0, len(signal) - length))
    return slice(first, first + length)


def _mask(signal: Signal, where: slice) -> Mask:
    mask = np.zeros(len(signal), np.bool_)
    mask[where] = True
    return mask


# ---------------------------------------------------------------------------------------------------- artefacts


def motion(signal: Signal, chance: Chance) -> Made:
    """A hand that moves: noise of 0.8 to 3 times the pulse for 0.8 to 5 s, on what is left of the pulse."""
    where = _stretch(signal, chance, 0.8, 5)
    length = where.stop - where.start
    noise = smooth(chance, length, 0.3, chance.uniform(3, 8)) * chance.uniform(0.8, 3) * usual(signal)
    made = signal.copy()
    made[where] = np.mean(signal) + chance.uniform(0, 1) * (signal[where] - np.mean(signal)) + noise
    return made, _mask(signal, where)


def lost(signal: Signal, chance: Chance) -> Made:
    """The sensor loses the finger: a level that stays (low, or middling), with noise of up to 2 % of the pulse."""
    where = _stretch(signal, chance, 0.7, 9)
    low, high = signal.min() - usual(signal) * chance.uniform(0, 2), float(np.median(signal))
    made = signal.copy()
    noise = chance.standard_normal(where.stop - where.start) * chance.uniform(0, 0.02) * usual(signal)
    made[where] = (low if chance.random() < 0.5 else high) + noise
    return made, _mask(signal, where)


def hum(signal: Signal, chance: Chance) -> Made:
    """A muscle or the mains: fast noise of 0.5 to 1.5 times the pulse for 0.8 to 5 s."""
    where = _stretch(signal, chance, 0.8, 5)
    made = signal.copy()
    made[where] += smooth(chance, where.stop - where.start, 5, 16) * chance.uniform(0.5, 1.5) * usual(signal)
    return made, _mask(signal, where)


def knock(signal: Signal, chance: Chance) -> Made:
    """The sensor is knocked: a step of 1 to 3 times the pulse that goes back within a second or so. Not trained on."""
    where = _stretch(signal, chance, 1.2, 2.5)
    away = np.exp(-np.arange(where.stop - where.start) / RATE / chance.uniform(0.25, 0.6))
    made = signal.copy()
    made[where] += (away * chance.uniform(1, 3) * usual(signal) * chance.choice([-1.0, 1.0])).astype(np.float32)
    return made, _mask(signal, where)


# ---------------------------------------------------------------------------------------------- irregular beats


def premature(signal: Signal, chance: Chance) -> Made:
    """One beat 25 to 50 % early and 0.5 to 0.95 as high, and the pause after it that makes up for it."""
    tops = beats(signal)
    if len(tops) < 6:
        return signal, _mask(signal, slice(0, 0))
    at = int(chance.integers(2, len(tops) - 2))
    before, top, after = (int(t) for t in tops[at - 1 : at + 2])
    early = chance.uniform(0.25, 0.5) * (top - before)
    made = signal.copy()
    # Where each new sample was: the stretch before the top is pressed together, the one after it drawn out.
    where = np.arange(before, after + 1)
    source = np.interp(where, [before, top - early, after], [before, top, after])
    moved = np.interp(source, np.arange(len(signal)), signal).astype(np.float32)
    height = chance.uniform(0.5, 0.95)
    bell = 1 - (1 - height) * np.exp(-(((where - (top - early)) / (0.3 * RATE)) ** 2))
    floor = np.percentile(signal[before : after + 1], 20)
    made[before : after + 1] = floor + (moved - floor) * bell
    return made, _mask(signal, slice(int(before + 0.3 * (top - before)), after))


def dropped(signal: Signal, chance: Chance) -> Made:
    """One beat that does not come: a line from the foot before it to the foot after it."""
    tops = beats(signal)
    if len(tops) < 6:
        return signal, _mask(signal, slice(0, 0))
    at = int(chance.integers(2, len(tops) - 2))
    before, top, after = (int(t) for t in tops[at - 1 : at + 2])
    first = before + int(np.argmin(signal[before:top]))
    last = top + int(np.argmin(signal[top:after]))
    made = signal.copy()
    made[first:last] = np.linspace(signal[first], signal[last], last - first)
    made[first:last] += (chance.standard_normal(last - first) * 0.01 * usual(signal)).astype(np.float32)
    return made, _mask(signal, slice(first, after))


def fluttering(signal: Signal, chance: Chance) -> Made:
    """Every interval of 4 to 9 s drawn out or pressed together by chance (a deviation of 25 %), as in fibrillation."""
    tops = beats(signal)
    where = _stretch(signal, chance, 4, 9)
    inside = tops[(tops >= where.start) & (tops < where.stop)]
    if len(inside) < 4:
        return signal, _mask(signal, slice(0, 0))
    lengths = np.diff(inside) * np.clip(1 + 0.25 * chance.standard_normal(len(inside) - 1), 0.5, 1.7)
    moved = inside[0] + np.concatenate([[0], np.cumsum(lengths * (inside[-1] - inside[0]) / lengths.sum())])
    made = signal.copy()
    places = np.arange(inside[0], inside[-1] + 1)
    made[inside[0] : inside[-1] + 1] = np.interp(np.interp(places, moved, inside), np.arange(len(signal)), signal)
    return made, _mask(signal, slice(int(inside[0]), int(inside[-1])))


ARTEFACTS: tuple[Callable[[Signal, Chance], Made], ...] = (motion, lost, hum)
UNSEEN: tuple[Callable[[Signal, Chance], Made], ...] = (knock,)
IRREGULAR: tuple[Callable[[Signal, Chance], Made], ...] = (premature, dropped, fluttering)
