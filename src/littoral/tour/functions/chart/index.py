"""Run by the S3 PUT of an aggregate: draws the bed's heart rate over time as an SVG beside the data."""

import json
import urllib.parse

import boto3

s3 = boto3.client("s3")
WIDTH, HEIGHT, MARGIN = 720, 240, 40
LOW, HIGH = 50, 100  # the limits, drawn as lines
BOTTOM, TOP = 30, 190  # beats a minute


def lambda_handler(event, context):
    drawn = []
    for record in event["Records"]:
        bucket = record["s3"]["bucket"]["name"]
        key = urllib.parse.unquote_plus(record["s3"]["object"]["key"])
        bed = key.split("/")[1]
        chart = f"charts/{bed}.svg"
        s3.put_object(
            Bucket=bucket,
            Key=chart,
            Body=draw(bed, windows(bucket, f"aggregates/{bed}/")).encode(),
            ContentType="image/svg+xml",
            CacheControl="max-age=60",
        )
        drawn.append(chart)
    return {"drawn": drawn}


def windows(bucket, prefix):
    found = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            found.append(json.loads(s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()))
    return sorted(found, key=lambda w: w["window"])


def draw(bed, found):
    rates = [(w["window"], w["heart_rate"], w["low"], w["high"]) for w in found if w["heart_rate"]]
    last = max([w for w, *_ in rates], default=1) or 1

    def x(window):
        return round(MARGIN + (WIDTH - 2 * MARGIN) * window / last, 1)

    def y(rate):
        return round(HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (rate - BOTTOM) / (TOP - BOTTOM), 1)

    bars = "".join(
        f'<line x1="{x(w)}" x2="{x(w)}" y1="{y(low)}" y2="{y(high)}" class="spread"/>' for w, _, low, high in rates
    )
    line = " ".join(f"{x(w)},{y(rate)}" for w, rate, *_ in rates)
    limits = "".join(
        f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y(v)}" y2="{y(v)}" class="limit"/>'
        f'<text x="6" y="{y(v) + 4}">{v}</text>'
        for v in (LOW, HIGH)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>Heart rate of {bed}, beats per minute</title>"
        "<style>text{font:12px system-ui,sans-serif;fill:#345}.spread{stroke:#9cc;stroke-width:6}"
        ".limit{stroke:#c55;stroke-dasharray:4 4}.rate{fill:none;stroke:#069;stroke-width:2}</style>"
        f'<text x="{MARGIN}" y="20">{bed}: heart rate (1/min), {sum(w["points"] for w in found)} points</text>'
        f'{limits}{bars}<polyline class="rate" points="{line}"/></svg>'
    )
