"""Device Defender and secure tunnelling are not here: whoever asks is told so, and nothing is taken silently."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.session
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

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


MODELS = botocore.session.get_session()
DEFENDER = [
    name
    for name in MODELS.get_service_model("iot").operation_names
    if re.search("Audit|SecurityProfile|Violation|Mitigation|CustomMetric|MetricValues|Dimension|BehaviorModel", name)
]
TUNNELS = list(MODELS.get_service_model("iotsecuretunneling").operation_names)


def least(shape: Shape) -> Any:
    """A value that the model lets through, with what is required and no more."""
    if isinstance(shape, StructureShape):
        return {name: least(shape.members[name]) for name in shape.required_members}
    if isinstance(shape, ListShape):
        return [least(shape.member)]
    if isinstance(shape, MapShape):
        return {least(shape.key): least(shape.value)}
    if isinstance(shape, StringShape):
        return shape.enum[0] if shape.enum else "x" * max(1, shape.metadata.get("min", 1))
    return {"boolean": True, "timestamp": 1.0, "blob": b""}.get(shape.type_name, 1)


def refuses(client: Any, operation: str) -> None:
    needed = least(client.meta.service_model.operation_model(operation).input_shape)
    assert operation in not_implemented(getattr(client, xform_name(operation)), **needed)


@pytest.mark.parametrize("operation", DEFENDER)
def test_defender_operations_say_so(place: Place, operation: str) -> None:
    refuses(place.client("iot"), operation)


def test_those_are_all_of_them() -> None:
    """What else of ``iot`` is missing has nothing to do with Device Defender; nothing of it is half there."""
    assert len(DEFENDER) >= 60 and len(TUNNELS) >= 8
    assert set(DEFENDER) <= set(coverage.of("iot", object.__new__(api_class("iot"))).missing)


def test_a_metrics_report_is_rejected_in_defenders_words(place: Place) -> None:
    device = place.device("reporter", allow("iot:*"))
    with device.connect() as client:
        client.subscribe("$aws/things/reporter/defender/metrics/json/+")
        assert client.publish("$aws/things/reporter/defender/metrics/json", {"header": {}, "metrics": {}}) == 0
        topic, answer = client.next()
    assert topic.endswith("/rejected") and answer["status"] == "REJECTED" and answer["thingName"] == "reporter"


@pytest.fixture(scope="module")
def tunneling() -> Iterator[Any]:
    with served({"iotsecuretunneling": SecureTunneling()}) as running_:
        yield boto3.client("iotsecuretunneling", **running_.client_kwargs)


@pytest.mark.parametrize("operation", TUNNELS)
def test_tunnels_are_not_opened(tunneling: Any, operation: str) -> None:
    refuses(tunneling, operation)


def test_coverage_names_what_is_missing() -> None:
    assert "iotsecuretunneling" in API_CLASSES
    missing = coverage.of("iotsecuretunneling", object.__new__(api_class("iotsecuretunneling"))).missing
    assert "OpenTunnel" in missing
    assert "CreateSecurityProfile" in coverage.of("iot", object.__new__(api_class("iot"))).missing
