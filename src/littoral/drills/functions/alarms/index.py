"""Vitals in, an alarm out: limits, and a small logistic model (``model.json``: weights by hand, after the ranges of the
National Early Warning Score; an example, no medical device)."""

import json
import math
from pathlib import Path

import boto3

MODEL = json.loads(Path(__file__).with_name("model.json").read_text())
iot_data = boto3.client("iot-data")


def lambda_handler(event, context):
    risk = score(event)
    if risk >= MODEL["alarm_at"] or not MODEL["low"] <= event["hr"] <= MODEL["high"]:
        alarm = {"bed": event["bed"], "n": event["n"], "risk": round(risk, 3), "sent_at": event["sent_at"]}
        iot_data.publish(topic=f"ward7/bed/{event['bed']}/alarm", qos=1, payload=json.dumps(alarm).encode())
    return {"risk": risk}


def score(event):
    total = MODEL["bias"]
    for name, feature in MODEL["features"].items():
        total += feature["weight"] * abs(event[name] - feature["usual"]) / feature["spread"]
    return 1 / (1 + math.exp(-total))
