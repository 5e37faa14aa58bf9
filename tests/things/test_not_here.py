"""Device Defender and secure tunnelling are not here: whoever asks is told so, and nothing is taken silently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from littoral.aws import coverage
from littoral.site.services import API_CLASSES, api_class
from littoral.things.control.tunneling import SecureTunneling
from tests.support.served import served
from tests.things.place import Place, allow, running


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place")) as made:
        yield made


def not_implemented(operation: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as error:
        operation(**arguments)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert error.value.response["Error"]["Code"] == "NotImplemented"
    return str(error.value.response["Error"]["Message"])


def test_defender_operations_say_so(place: Place) -> None:
    iot = place.client("iot")
    assert "CreateSecurityProfile" in not_implemented(iot.create_security_profile, securityProfileName="p")
    assert "StartOnDemandAuditTask" in not_implemented(iot.start_on_demand_audit_task, targetCheckNames=["x"])
    assert "ListActiveViolations" in not_implemented(iot.list_active_violations)


def test_a_metrics_report_is_rejected_in_defenders_words(place: Place) -> None:
    device = place.device("reporter", allow("iot:*"))
    with device.connect() as client:
        client.subscribe("$aws/things/reporter/defender/metrics/json/+")
        assert client.publish("$aws/things/reporter/defender/metrics/json", {"header": {}, "metrics": {}}) == 0
        topic, answer = client.next()
    assert topic.endswith("/rejected") and answer["status"] == "REJECTED" and answer["thingName"] == "reporter"


def test_tunnels_are_not_opened() -> None:
    with served({"iotsecuretunneling": SecureTunneling()}) as running_:
        client = boto3.client("iotsecuretunneling", **running_.client_kwargs)
        assert "OpenTunnel" in not_implemented(client.open_tunnel)
        assert "ListTunnels" in not_implemented(client.list_tunnels)


def test_coverage_names_what_is_missing() -> None:
    assert "iotsecuretunneling" in API_CLASSES
    missing = coverage.of("iotsecuretunneling", api_class("iotsecuretunneling")).missing
    assert "OpenTunnel" in missing
    assert "CreateSecurityProfile" in coverage.of("iot", api_class("iot")).missing
