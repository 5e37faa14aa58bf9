"""Waveform in, trust out: says of each second of a bed's pulse whether it is an artefact or an irregular beat.

The ward's model (``model.onnx``, see ``littoral.tour.ward``) is in this function's zip and answers on the core, with
the link up or down. It is shown the last eight seconds of a bed once a second, and judges the last but one of them:

* ``<ward>/bed/<bed>/rhythm``  ``second`` (of the recording), the two probabilities, and ``flag``: ``artefact``,
  ``irregular`` or null.

State lives in globals: one long-lived instance that gets its events in order. Given ``{"waveform": [], "rate": 1}``
it judges the last eight seconds of just that.
"""

import json
import math
import time
from pathlib import Path

import boto3
import numpy as np
from pulse import ANSWERS, JUDGED, RATE, SECONDS, resampled, window

from littoral.models import load

HERE = Path(__file__).parent
LEVELS = json.loads((HERE / "lineage.json").read_text())["levels"]

model = load(HERE / "model.onnx", threads=1)  # an answer takes a fraction of a millisecond
beds = {}
iot_data = boto3.client("iot-data")


def lambda_handler(event, context):
    if "waveform" in event:
        return judge(event["waveform"], event["rate"])
    bed = beds.get(event["bed"])
    if bed is None or event["first"] == 0:
        bed = beds[event["bed"]] = Bed(event["rate"])
    for second, samples in bed.take(event["samples"]):
        message = {"bed": event["bed"], "second": second, **judge(samples, bed.rate)}
        message |= {"sent_at": event["sent_at"], "computed_at": time.time()}
        topic = f"{event['ward']}/bed/{event['bed']}/rhythm"
        iot_data.publish(topic=topic, qos=1, payload=json.dumps(message).encode())
    return {"bed": event["bed"], "samples": bed.count}


class Bed:
    """The last eight seconds of one patient."""

    def __init__(self, rate):
        self.rate = rate
        self.recent = []
        self.count = 0
        self.next = 0  # the second of the recording with which the next window begins

    def take(self, samples):
        """Samples of one message; yields (the second that is judged, eight seconds of samples)."""
        self.recent.extend(samples)
        self.count += len(samples)
        while self.count >= (end := math.ceil((self.next + SECONDS) * self.rate) + 1):
            first = int(self.next * self.rate) - (self.count - len(self.recent))
            yield self.next + JUDGED[0], self.recent[first : len(self.recent) - (self.count - end)]
            self.next += 1
        keep = self.count - int(self.next * self.rate)
        del self.recent[: max(0, len(self.recent) - keep)]


def judge(samples, rate):
    """The probabilities, and the larger one's name where it reaches its level. Needs eight seconds of samples."""
    seen = resampled(samples, rate)[-SECONDS * RATE :]
    (told,) = model(window(seen)[np.newaxis, np.newaxis])
    found = {name: round(float(p), 4) for name, p in zip(ANSWERS, told, strict=True)}
    over = [name for name in ANSWERS if told[ANSWERS.index(name)] >= LEVELS[name]]
    return {**found, "flag": max(over, key=found.get) if over else None}
