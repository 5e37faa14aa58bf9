"""What Lambda@Edge functions print, and what is wrong with their answers, is read at the location where they ran."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.edge.place import behaving, listed
from tests.edge.test_control import config

from .conftest import Running
from .test_clients import zipped

GOOD = "def handler(event, context):\n    print('saw the viewer')\n    return event['Records'][0]['cf']['request']\n"
BAD = "def handler(event, context):\n    return {'status': 'maybe'}\n"
FAILS = "def handler(event, context):\n    raise ValueError('not today')\n"


def publish(client: Any, name: str, source: str) -> str:
    client.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/r",
        Handler="index.handler",
        Code={"ZipFile": zipped(index__py=source)},
    )
    arn: str = client.publish_version(FunctionName=name)["FunctionArn"]
    return arn


def ask(place: Running, host: str, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", place.port("edge"), timeout=30)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()


def read(place: Running, group: str, pattern: str) -> str:
    """With the AWS CLI, as soon as there is something."""
    words = ["logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", f'"{pattern}"']
    deadline = time.monotonic() + 30
    while pattern not in (text := place.aws(*words, check=False)):
        assert time.monotonic() < deadline, f"nothing came to {group}: {text}"
        time.sleep(0.2)
    return text


def test_logs_of_edge_functions(start: Callable[..., Running], tmp_path: Path) -> None:
    region = start("region", "--edge-port", "off", "--edge-tls-port", "off", kind="region")
    keys = str(tmp_path / "region" / "credentials")
    edge = start("edge", "--upstream", region.api, "--upstream-credentials", keys, kind="edge")
    functions, cf = region.client("lambda"), region.client("cloudfront")
    others = [
        behaving(
            PathPattern=f"/{name}",
            triggers=[{"EventType": "viewer-request", "LambdaFunctionARN": publish(functions, name, source)}],
        )
        for name, source in (("good", GOOD), ("bad", BAD), ("fails", FAILS))
    ]
    made = cf.create_distribution(DistributionConfig=config(9, CacheBehaviors=listed(others)))["Distribution"]
    cf.get_waiter("distribution_deployed").wait(Id=made["Id"], WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    assert [ask(edge, made["DomainName"], path) for path in ("/good", "/bad", "/fails")] == [502, 502, 503]

    read(edge, "/aws/lambda/us-east-1.good", "saw the viewer")
    read(edge, "/aws/lambda/us-east-1.fails", "not today")
    problems = read(edge, f"/aws/cloudfront/LambdaEdge/{made['Id']}", "ERROR Validation error")
    assert "Validation error: the viewer-request function bad:1 returned an invalid result: status must be" in problems
    assert region.client("logs").describe_log_groups(logGroupNamePrefix="/aws/cloudfront")["logGroups"] == []
