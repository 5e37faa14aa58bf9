"""What monitors do without a model: thresholds on height and interval. The model is held against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from littoral.tour.ward.disturbed import Mask, beats
from littoral.tour.ward.pulse import JUDGED, RATE, SECONDS, Signal


@dataclass(frozen=True, slots=True)
class Rule:
    """``lowest`` and ``highest``: what the range of a second may be, in usual ones. ``apart``: how far, as a share of
    the median, an interval between beats may be from it."""

    lowest: float
    highest: float
    apart: float

    def flags(self, signal: Signal) -> Mask:
        """(n, 2): artefact and irregular, of the seconds that the model judges, each by the same eight seconds."""
        length = SECONDS * RATE
        firsts = range(0, len(signal) - length + 1, RATE)
        return np.array([self._judged(signal[first : first + length]) for first in firsts], np.bool_).reshape(-1, 2)

    def _judged(self, window: Signal) -> tuple[bool, bool]:
        ranges = np.ptp(window.reshape(SECONDS, RATE), axis=1)
        usual = float(np.median(ranges))
        if usual <= 0:
            return True, False
        judged = float(ranges[JUDGED[0]]) / usual
        return not self.lowest <= judged <= self.highest, self._irregular(window)

    def _irregular(self, window: Signal) -> bool:
        tops = beats(window)
        if len(tops) < 4:
            return True
        intervals = np.diff(tops)
        middle = float(np.median(intervals))
        ending = (tops[1:] >= JUDGED[0] * RATE) & (tops[1:] < JUDGED[1] * RATE)
        return bool((np.abs(intervals[ending] - middle) > self.apart * middle).any())
