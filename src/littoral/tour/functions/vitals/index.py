"""Waveform in, heart rate out: the same zip runs in the region and on the core.

A bedside monitor publishes a fraction of a second of photoplethysmogram at a time. This function keeps the last
ten seconds of each bed, finds the pulse peaks, and publishes

* ``<ward>/bed/<bed>/vitals``     once a second of recording: heart rate, SDNN and RMSSD in milliseconds;
* ``<ward>/bed/<bed>/alarm``      when the heart rate leaves LOW..HIGH beats a minute;
* ``<ward>/bed/<bed>/aggregate``  once every WINDOW seconds: how many samples, and the rates over them.

State lives in globals, so it must run as one long-lived instance that gets its events in order (a pinned
component on the core). Given ``{"waveform": [...], "rate": 100}`` it analyses just that and returns the result.

Peaks: samples above a moving average of 0.75 s, raised by a fraction of the signal's range, form regions; the
highest sample of each region is a beat. The fraction that gives the most regular pulse wins, so that a dicrotic
notch is not taken for a beat. Intervals that differ from the median by more than 30 % are artefacts and are left
out, as is common for heart-rate variability (Task Force of the European Society of Cardiology, 1996).
"""

import itertools
import json
import os
import statistics
import time

import boto3

LOW = float(os.environ.get("LOW", "50"))
HIGH = float(os.environ.get("HIGH", "100"))
WINDOW = float(os.environ.get("WINDOW", "10"))
HISTORY = 10.0  # seconds of signal that a rate is computed from
SETTLED = 5.0  # seconds of signal before the first rate: fewer beats tell little
HEIGHTS = (0.02, 0.08, 0.15, 0.25, 0.35)  # fractions of the signal's range, tried for the most regular pulse

beds = {}
iot_data = boto3.client("iot-data")  # in the init phase, so that the first alarm does not wait for it


def lambda_handler(event, context):
    if "waveform" in event:
        return analyse(event["waveform"], event["rate"])
    bed = beds.get(event["bed"])
    if bed is None or event["first"] == 0:
        bed = beds[event["bed"]] = Bed(event["rate"])
    for kind, message in bed.take(event):
        publish(f"{event['ward']}/bed/{event['bed']}/{kind}", {"bed": event["bed"], **message})
    return {"bed": event["bed"], "samples": bed.count}


def publish(topic, message):
    iot_data.publish(topic=topic, qos=1, payload=json.dumps(message).encode())


class Bed:
    """What is known of one patient: recent samples, and the window that is being summed up."""

    def __init__(self, rate):
        self.rate = rate
        self.recent = []
        self.count = 0
        self.next_vitals = SETTLED * rate  # in samples
        self.window = 0
        self.window_first = 0
        self.rates = []
        self.alarms = 0

    def take(self, event):
        """Samples of one message; yields (kind, message) to be published."""
        self.recent.extend(event["samples"])
        del self.recent[: max(0, len(self.recent) - int(HISTORY * self.rate))]
        self.count += len(event["samples"])
        if self.count >= self.next_vitals:
            self.next_vitals += self.rate
            yield from self.vitals(event)
        if self.count - self.window_first >= WINDOW * self.rate or event.get("last"):
            yield "aggregate", self.aggregate(event)

    def vitals(self, event):
        result = analyse(self.recent, self.rate)
        if result["heart_rate"] is None:
            return
        self.rates.append(result)
        result = {**result, "sample": self.count, "sent_at": event["sent_at"], "computed_at": time.time()}
        yield "vitals", result
        if not LOW <= result["heart_rate"] <= HIGH:
            self.alarms += 1
            yield "alarm", {**result, "limit": "high" if result["heart_rate"] > HIGH else "low"}

    def aggregate(self, event):
        rates = [r["heart_rate"] for r in self.rates]
        spread = [r["rmssd"] for r in self.rates if r["rmssd"] is not None]
        message = {
            "window": self.window,
            "first": self.window_first,
            "points": self.count - self.window_first,
            "heart_rate": round(statistics.fmean(rates), 1) if rates else None,
            "low": min(rates, default=None),
            "high": max(rates, default=None),
            "rmssd": round(statistics.fmean(spread), 1) if spread else None,
            "alarms": self.alarms,
            "measured_at": event["sent_at"],
        }
        self.window += 1
        self.window_first = self.count
        self.rates, self.alarms = [], 0
        return message


def analyse(samples, rate):
    """Heart rate (1/min), SDNN and RMSSD (ms) of a stretch of signal; None where no regular pulse is seen."""
    best = None
    for height in HEIGHTS:
        intervals = intervals_of(peaks(samples, rate, height), rate)
        if len(intervals) < 3 or not 40 <= 60000 / statistics.fmean(intervals) <= 180:
            continue
        spread = statistics.pstdev(intervals)
        if best is None or spread < best[0]:
            best = spread, intervals
    kept = clean(best[1]) if best else []
    if len(kept) < 3:
        return {"heart_rate": None, "sdnn": None, "rmssd": None, "beats": 0}
    steps = [b - a for a, b in itertools.pairwise(kept)]
    return {
        "heart_rate": round(60000 / statistics.fmean(kept), 1),
        "sdnn": round(statistics.pstdev(kept), 1),
        "rmssd": round(statistics.fmean(s * s for s in steps) ** 0.5, 1),
        "beats": len(kept) + 1,
    }


def peaks(samples, rate, height):
    """Positions (in samples, refined to a fraction) of the tops that stand ``height`` of the range above the mean."""
    if len(samples) < 2 * rate:
        return []
    half = int(0.375 * rate)
    sums = [0.0]
    for value in samples:
        sums.append(sums[-1] + value)
    margin = height * (max(samples) - min(samples))
    found, best = [], None
    for i, value in enumerate(samples):
        low, high = max(0, i - half), min(len(samples), i + half + 1)
        if value > (sums[high] - sums[low]) / (high - low) + margin:
            if best is None or value > samples[best]:
                best = i
        elif best is not None:
            found.append(best)
            best = None
    return [refined(samples, i) for i in found]


def refined(samples, i):
    """The top of the parabola through a peak and its neighbours: finer than one sample."""
    if not 0 < i < len(samples) - 1:
        return float(i)
    left, top, right = samples[i - 1], samples[i], samples[i + 1]
    curve = left - 2 * top + right
    return i + (0.5 * (left - right) / curve if curve else 0.0)


def intervals_of(positions, rate):
    return [(b - a) * 1000 / rate for a, b in itertools.pairwise(positions)]


def clean(intervals):
    if not intervals:
        return []
    middle = statistics.median(intervals)
    return [x for x in intervals if abs(x - middle) <= 0.3 * middle]
