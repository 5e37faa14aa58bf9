"""The credentials provider: a device's certificate for temporary credentials that boto3 then uses."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.things.place import ARN, Place, allow, running
from tests.things.test_control_boto3 import refused

ROLE = "arn:aws:iam::000000000000:role/devices/reader"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place")) as made:
        yield made


def test_a_device_gets_credentials_and_uses_them(place: Place) -> None:
    iot = place.client("iot")
    made = iot.create_role_alias(roleAlias="reader", roleArn=ROLE, credentialDurationSeconds=900)
    assert made["roleAliasArn"] == ARN + "rolealias/reader"
    device = place.device("camera", allow("iot:AssumeRoleWithCertificate", "rolealias/reader"))
    endpoint = iot.describe_endpoint(endpointType="iot:CredentialProvider")["endpointAddress"]
    assert endpoint == f"127.0.0.1:{place.port}"
    status, body = device.https("GET", "/role-aliases/reader/credentials", headers={"x-amzn-iot-thingname": "camera"})
    assert status == 200
    found = body["credentials"]
    expires = datetime.datetime.fromisoformat(found["expiration"])
    assert 800 < (expires - datetime.datetime.now(datetime.UTC)).total_seconds() <= 900
    keys = {
        "aws_access_key_id": found["accessKeyId"],
        "aws_secret_access_key": found["secretAccessKey"],
        "aws_session_token": found["sessionToken"],
    }
    address = {"endpoint_url": place.served.url, "region_name": "us-east-1"}
    who = boto3.client("sts", **keys, **address).get_caller_identity()
    assert who["Arn"] == f"arn:aws:sts::000000000000:assumed-role/reader/{device.certificate_id}"
    assert boto3.client("iot", **keys, **address).describe_thing(thingName="camera")["thingName"] == "camera"
    for change in ({"aws_session_token": "nonsense"}, {"aws_session_token": None}, {"aws_secret_access_key": "wrong"}):
        with pytest.raises(ClientError) as error:
            boto3.client("iot", **{**keys, **change}, **address).describe_thing(thingName="camera")
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_who_may_not_is_told_so(place: Place) -> None:
    iot = place.client("iot")
    iot.create_role_alias(roleAlias="secret", roleArn=ROLE)
    own = "${iot:Connection.Thing.ThingName}"
    device = place.device("lamp", allow("iot:AssumeRoleWithCertificate", f"rolealias/{own}-*", "rolealias/gone"))
    assert device.https("GET", "/role-aliases/secret/credentials") == (403, {"message": "Access Denied"})
    assert device.https("GET", "/role-aliases/gone/credentials")[0] == 404
    assert device.https("POST", "/role-aliases/secret/credentials")[0] == 404
    assert device.https("GET", "/role-aliases/secret/other")[0] == 404
    iot.create_role_alias(roleAlias="lamp-role", roleArn=ROLE)
    path = "/role-aliases/lamp-role/credentials"
    assert device.https("GET", path)[0] == 403  # without its name the variable has no value
    assert device.https("GET", path, headers={"x-amzn-iot-thingname": "camera"})[0] == 403
    assert device.https("GET", path, headers={"x-amzn-iot-thingname": "lamp"})[0] == 200
    iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    assert device.https("GET", path, headers={"x-amzn-iot-thingname": "lamp"})[0] == 403


def test_aliases_are_kept(place: Place) -> None:
    iot = place.client("iot")
    iot.create_role_alias(roleAlias="kept", roleArn=ROLE)
    refused("ResourceAlreadyExistsException", iot.create_role_alias, roleAlias="kept", roleArn=ROLE)
    iot.update_role_alias(roleAlias="kept", credentialDurationSeconds=1800)
    described = iot.describe_role_alias(roleAlias="kept")["roleAliasDescription"]
    assert (described["credentialDurationSeconds"], described["roleArn"]) == (1800, ROLE)
    assert "kept" in iot.list_role_aliases()["roleAliases"]
    iot.delete_role_alias(roleAlias="kept")
    refused("ResourceNotFoundException", iot.describe_role_alias, roleAlias="kept")
