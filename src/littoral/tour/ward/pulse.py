"""What the model is shown of a pulse: eight seconds, resampled and scaled. Only numpy: it goes into the function's zip.

The second that is judged is the last but one, so that a judgement comes a second late and has seen six seconds before
the judged one and one after it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.float32]

RATE = 32  # samples a second that the model sees
SECONDS = 8  # of signal in a window
JUDGED = (6, 7)  # seconds of the window that are judged
ANSWERS = ("artefact", "irregular")  # what the model's two numbers are probabilities of
BOUND = 6.0  # what is farther from the middle, in ranges of a usual second, looks no farther


def resampled(samples: npt.ArrayLike, rate: float) -> Signal:
    """The signal at 32 samples a second; each is the mean of what was recorded in its time (no aliasing)."""
    recorded = np.asarray(samples, np.float64)
    sums = np.concatenate([[0.0], np.cumsum(recorded)])
    edges = np.arange(int(len(recorded) / rate * RATE) + 1) * (rate / RATE)
    means: Signal = (np.diff(np.interp(edges, np.arange(len(sums)), sums)) * (RATE / rate)).astype(np.float32)
    return means


def window(resampled_signal: Signal) -> Signal:
    """Eight seconds about their median, in units of the range of a usual second (the median of eight)."""
    seconds = resampled_signal.reshape(SECONDS, RATE)
    usual = float(np.median(seconds.max(axis=1) - seconds.min(axis=1)))
    scaled: Signal = (resampled_signal - np.median(resampled_signal)) / np.float32(max(usual, 1e-3))
    return np.clip(scaled, -BOUND, BOUND)


def windows(signal: Signal, step: int = RATE) -> Signal:
    """All windows of a resampled signal, one a second: shape (n, 1, 256). The first judges the seventh second."""
    length = SECONDS * RATE
    firsts = range(0, len(signal) - length + 1, step)
    made = [window(signal[first : first + length]) for first in firsts]
    return np.stack(made)[:, None, :] if made else np.empty((0, 1, length), np.float32)
