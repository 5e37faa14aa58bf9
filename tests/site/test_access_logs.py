"""A real place: what viewers asked for is in the bucket a moment later, and what waits when the place drains too."""

from __future__ import annotations

import gzip
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.edge.place import behaving
from tests.edge.test_control import config
from tests.edge.test_realtime import asked_for, records

from .conftest import Running


def lines(s3: Any) -> list[list[str]]:
    found = []
    for each in s3.list_objects_v2(Bucket="access").get("Contents", ()):
        text = gzip.decompress(s3.get_object(Bucket="access", Key=each["Key"])["Body"].read()).decode()
        found += [line.split("\t") for line in text.splitlines()[2:]]
    return found


def ask(place: Running, domain: str, path: str) -> None:
    asked = urllib.request.Request(place.process.urls["edge"] + path, headers={"Host": domain})
    try:
        urllib.request.urlopen(asked, timeout=30)
    except urllib.error.HTTPError as problem:
        assert problem.code == 502  # its origin is not there


def test_access_is_logged(start: Callable[..., Running]) -> None:
    place = start("place", "--edge-log-interval", "0.1")
    s3, cf = place.client("s3"), place.client("cloudfront")
    s3.create_bucket(Bucket="access")
    logging = {"Enabled": True, "Bucket": "access.s3.amazonaws.com", "Prefix": "", "IncludeCookies": False}
    place.client("kinesis").create_stream(StreamName="logs", ShardCount=1)
    fields = ["cs-uri-stem", "sc-status", "x-edge-detailed-result-type"]
    live = cf.create_realtime_log_config(**asked_for(Fields=fields))["RealtimeLogConfig"]["ARN"]
    wanted = config(9, "access", Logging=logging, DefaultCacheBehavior=behaving(RealtimeLogConfigArn=live))
    made = cf.create_distribution(DistributionConfig=wanted)["Distribution"]
    cf.get_waiter("distribution_deployed").wait(Id=made["Id"], WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    ask(place, made["DomainName"], "/one?a=b")
    deadline = time.monotonic() + 60
    while not (found := lines(s3)):
        assert time.monotonic() < deadline, "no log came"
        time.sleep(0.1)
    assert found[0][6:9] == [made["DomainName"], "/one", "502"]
    while not (live_records := records(place.client("kinesis"))):
        assert time.monotonic() < deadline, "no record came"
        time.sleep(0.1)
    assert live_records == [["/one", "502", "OriginConnectError"]]
    assert place.process.stop() == 0

    place = start("place", "--edge-log-interval", "3600")
    ask(place, made["DomainName"], "/two")
    assert place.process.stop() == 0
    place = start("place")
    assert sorted(each[7] for each in lines(place.client("s3"))) == ["/one", "/two"]
    assert [each[0] for each in records(place.client("kinesis"))] == ["/one", "/two"]
