"""A second of recorded waveform in, a summary out, which the bridge carries up."""

import itertools
import json

import boto3

iot_data = boto3.client("iot-data")


def lambda_handler(event, context):
    samples = event["samples"]
    mean = sum(samples) / len(samples)
    beats = sum(1 for a, b in itertools.pairwise(samples) if a <= mean < b)
    summary = {"bed": event["bed"], "second": event["second"], "points": len(samples), "mean": round(mean, 2)}
    summary["beats"] = beats
    iot_data.publish(topic=f"ward7/bed/{event['bed']}/summary", qos=1, payload=json.dumps(summary).encode())
    return summary
