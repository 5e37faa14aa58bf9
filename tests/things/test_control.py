"""The ``iot`` API, called as the gateway calls it. The same through boto3 is in test_control_boto3.py."""

from __future__ import annotations

import hashlib
import json
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from littoral.aws.service import Call, ServiceError
from littoral.net.pki import Authority
from littoral.store.documents import Documents
from littoral.store.embedded import EmbeddedStore
from littoral.things.asked import AskedFunctions
from littoral.things.authorizers import Authorizers
from littoral.things.control import Iot
from littoral.things.domains import Domains
from littoral.things.fleet import Fleet
from littoral.things.iotlogs import Levels
from littoral.things.message import Publication
from littoral.things.names import Names
from littoral.things.permissions import Permissions
from littoral.things.registry import Registry
from littoral.things.rules import Destinations, RuleEngine, Sinks
from littoral.things.shadows import Shadows

Caller = Callable[..., Call]
ARN = "arn:aws:iot:us-east-1:000000000000:"
DOCUMENT = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}})
RULE = {
    "sql": "SELECT * FROM 'a/+'",
    "actions": [{"s3": {"roleArn": "arn:aws:iam::0:role/r", "bucketName": "b", "key": "${topic()}"}}],
}


async def nowhere(message: Publication) -> None:
    raise AssertionError("no rule runs in these tests")


async def untold(topic: str, payload: bytes) -> None:
    """No device hears of it."""


def nobody(take: object) -> Any:
    raise AssertionError("nothing of connections is indexed in these tests")


async def build(store: EmbeddedStore, authority: Authority) -> Iot:
    records = store.records("things")
    registry = Registry(records)
    await registry.load()
    engine = RuleEngine(Documents(records, "rule/"), store.streams, Sinks(nowhere), account="000000000000")
    await engine.open()
    names = Names("us-east-1", "000000000000")
    destinations = Destinations(
        Documents(records, "destination/"), None, lambda name: names.arn("ruledestination", name), time.time
    )
    shadows = Shadows(Documents(records, "shadow/"), lambda messages: None, time.time)
    fleet = Fleet(records, registry, names, untold, shadows, nobody, time.time)
    await fleet.open()
    domains = Domains(records)
    await domains.open()
    authorizers = Authorizers(records, names, AskedFunctions(), domains)
    await authorizers.open()
    return Iot(
        registry,
        engine,
        destinations,
        names,
        authority=authority,
        endpoint=lambda: "127.0.0.1:8883",
        fleet=fleet,
        permissions=Permissions(registry, names),
        levels=Levels(registry),
        authorizers=authorizers,
        domains=domains,
    )


@pytest.fixture
async def iot(store: EmbeddedStore, authority: Authority) -> Iot:
    return await build(store, authority)


async def refused(code: str, awaitable: Any) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        await awaitable
    assert error.value.code == code
    return error.value


# ---------------------------------------------------------------------------------------------------- things


async def test_a_thing_is_made_described_and_found_again_after_a_restart(
    iot: Iot, call: Caller, store: EmbeddedStore, authority: Authority
) -> None:
    made = await iot.create_thing(call(), thing_name="bed3", attribute_payload={"attributes": {"ward": "7"}})
    assert made["thingArn"] == ARN + "thing/bed3"
    again = await build(store, authority)
    for api in (iot, again):
        described = await api.describe_thing(call(), thing_name="bed3")
        assert described["attributes"] == {"ward": "7"}
        assert (described["version"], described["thingId"]) == (1, made["thingId"])
        assert described["defaultClientId"] == "bed3"


async def test_making_a_thing_again_succeeds_only_with_the_same_configuration(iot: Iot, call: Caller) -> None:
    first = await iot.create_thing(call(), thing_name="a", attribute_payload={"attributes": {"x": "1"}})
    same = await iot.create_thing(call(), thing_name="a", attribute_payload={"attributes": {"x": "1"}})
    assert same == first
    error = await refused("ResourceAlreadyExistsException", iot.create_thing(call(), thing_name="a"))
    assert error.fields == {"resourceArn": ARN + "thing/a", "resourceId": "a"}
    assert error.status == 409


async def test_updates_merge_replace_and_check_the_version(iot: Iot, call: Caller) -> None:
    await iot.create_thing(call(), thing_name="a", attribute_payload={"attributes": {"x": "1", "y": "2"}})
    merge = {"attributes": {"x": "", "z": "3"}, "merge": True}
    await iot.update_thing(call(), thing_name="a", attribute_payload=merge, expected_version=1)
    assert (await iot.describe_thing(call(), thing_name="a"))["attributes"] == {"y": "2", "z": "3"}
    await iot.update_thing(call(), thing_name="a", attribute_payload={"attributes": {"only": "1"}})
    described = await iot.describe_thing(call(), thing_name="a")
    assert (described["attributes"], described["version"]) == ({"only": "1"}, 3)
    await refused("VersionConflictException", iot.update_thing(call(), thing_name="a", expected_version=1))
    await refused("VersionConflictException", iot.delete_thing(call(), thing_name="a", expected_version=2))
    await refused("ResourceNotFoundException", iot.update_thing(call(), thing_name="nobody"))


async def test_things_are_listed_in_pages_and_filtered(iot: Iot, call: Caller) -> None:
    await iot.create_thing_type(call(), thing_type_name="bed")
    for number in range(7):
        more: dict[str, Any] = {"thing_type_name": "bed"} if number % 2 else {}
        attributes = {"attributes": {"ward": f"w{number // 3}"}}
        await iot.create_thing(call(), thing_name=f"t{number}", attribute_payload=attributes, **more)
    seen: list[str] = []
    token = None
    while True:
        page = await iot.list_things(call(), max_results=3, next_token=token)
        seen += [thing["thingName"] for thing in page["things"]]
        token = page.get("nextToken")
        if token is None:
            break
    assert seen == [f"t{number}" for number in range(7)]
    by_type = await iot.list_things(call(), thing_type_name="bed")
    assert [thing["thingName"] for thing in by_type["things"]] == ["t1", "t3", "t5"]
    by_value = await iot.list_things(call(), attribute_name="ward", attribute_value="w1")
    assert [thing["thingName"] for thing in by_value["things"]] == ["t3", "t4", "t5"]
    prefix = {"attribute_name": "ward", "attribute_value": "w", "use_prefix_attribute_value": True}
    assert len((await iot.list_things(call(), **prefix))["things"]) == 7
    await refused("InvalidRequestException", iot.list_things(call(), next_token="%%%"))
    await refused("InvalidRequestException", iot.list_things(call(), max_results=0))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 129, "é"])
async def test_a_bad_thing_name_is_refused(iot: Iot, call: Caller, name: str) -> None:
    await refused("InvalidRequestException", iot.create_thing(call(), thing_name=name))


async def test_a_thing_without_a_type_has_three_attributes_at_most(iot: Iot, call: Caller) -> None:
    four = {"attributes": {str(number): "x" for number in range(4)}}
    await refused("InvalidRequestException", iot.create_thing(call(), thing_name="a", attribute_payload=four))
    await iot.create_thing_type(call(), thing_type_name="bed")
    await iot.create_thing(call(), thing_name="a", attribute_payload=four, thing_type_name="bed")


async def test_thing_types_are_deprecated_before_they_are_deleted(iot: Iot, call: Caller) -> None:
    await refused("ResourceNotFoundException", iot.create_thing(call(), thing_name="a", thing_type_name="bed"))
    await iot.create_thing_type(call(), thing_type_name="bed", thing_type_properties={"thingTypeDescription": "a bed"})
    await refused("ResourceAlreadyExistsException", iot.create_thing_type(call(), thing_type_name="bed"))
    await iot.create_thing(call(), thing_name="a", thing_type_name="bed")
    await refused("InvalidRequestException", iot.delete_thing_type(call(), thing_type_name="bed"))
    await iot.deprecate_thing_type(call(), thing_type_name="bed")
    described = await iot.describe_thing_type(call(), thing_type_name="bed")
    assert described["thingTypeMetadata"]["deprecated"] is True
    await refused("InvalidRequestException", iot.create_thing(call(), thing_name="b", thing_type_name="bed"))
    await refused("InvalidRequestException", iot.delete_thing_type(call(), thing_type_name="bed"))
    await iot.update_thing(call(), thing_name="a", remove_thing_type=True)
    await iot.delete_thing_type(call(), thing_type_name="bed")
    assert (await iot.list_thing_types(call()))["thingTypes"] == []


# ---------------------------------------------------------------------------------------------- certificates


def csr(key: Any, name: str = "monitor") -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


async def test_keys_and_certificate_belong_together_and_the_id_is_the_hash(
    iot: Iot, call: Caller, authority: Authority
) -> None:
    made = await iot.create_keys_and_certificate(call(), set_as_active=True)
    der = ssl.PEM_cert_to_DER_cert(made["certificatePem"])
    assert made["certificateId"] == hashlib.sha256(der).hexdigest()
    assert made["certificateArn"] == ARN + "cert/" + made["certificateId"]
    certificate = x509.load_der_x509_certificate(der)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate_pem))
    key = serialization.load_pem_private_key(made["keyPair"]["PrivateKey"].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey) and key.key_size == 2048
    assert key.public_key() == certificate.public_key()
    assert made["keyPair"]["PrivateKey"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    described = (await iot.describe_certificate(call(), certificate_id=made["certificateId"]))["certificateDescription"]
    assert described["status"] == "ACTIVE"
    assert described["certificatePem"] == made["certificatePem"]
    assert "PRIVATE" not in json.dumps(described, default=str)


async def test_a_request_keeps_its_key_and_name(iot: Iot, call: Caller) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    made = await iot.create_certificate_from_csr(call(), certificate_signing_request=csr(key, "bed3"))
    certificate = x509.load_pem_x509_certificate(made["certificatePem"].encode())
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=bed3"
    assert (await iot.list_certificates(call()))["certificates"][0]["status"] == "INACTIVE"


@pytest.mark.parametrize(
    "request_",
    [
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        csr(rsa.generate_private_key(65537, 1024)),
    ],
)
async def test_a_bad_request_for_a_certificate_is_refused(iot: Iot, call: Caller, request_: str) -> None:
    await refused(
        "InvalidRequestException", iot.create_certificate_from_csr(call(), certificate_signing_request=request_)
    )
    assert (await iot.list_certificates(call()))["certificates"] == []


async def test_a_certificate_is_registered_without_its_authority_whoever_signed_it(
    iot: Iot, call: Caller, authority: Authority, tmp_path: Any
) -> None:
    theirs = Authority.load_or_create(tmp_path / "other", "another").issue_client("x").certificate.decode()
    for pem in (authority.issue_client("ours").certificate.decode(), theirs):
        registered = await iot.register_certificate_without_ca(call(), certificate_pem=pem, status="ACTIVE")
        described = await iot.describe_certificate(call(), certificate_id=registered["certificateId"])
        assert described["certificateDescription"]["certificateMode"] == "SNI_ONLY"
        again = iot.register_certificate_without_ca(call(), certificate_pem=pem)
        await refused("ResourceAlreadyExistsException", again)
    nonsense = iot.register_certificate_without_ca(call(), certificate_pem="nonsense")
    await refused("CertificateValidationException", nonsense)


async def test_a_certificate_is_deleted_only_when_inactive_and_detached(iot: Iot, call: Caller) -> None:
    made = await iot.create_keys_and_certificate(call(), set_as_active=True)
    which, arn = made["certificateId"], made["certificateArn"]
    await iot.create_thing(call(), thing_name="a")
    await iot.create_policy(call(), policy_name="p", policy_document=DOCUMENT)
    await iot.attach_thing_principal(call(), thing_name="a", principal=arn)
    await iot.attach_policy(call(), policy_name="p", target=arn)
    await refused("CertificateStateException", iot.delete_certificate(call(), certificate_id=which))
    await iot.update_certificate(call(), certificate_id=which, new_status="REVOKED")
    await refused("DeleteConflictException", iot.delete_certificate(call(), certificate_id=which, force_delete=True))
    await iot.detach_thing_principal(call(), thing_name="a", principal=arn)
    await refused("DeleteConflictException", iot.delete_certificate(call(), certificate_id=which))
    await iot.delete_certificate(call(), certificate_id=which, force_delete=True)
    await refused("ResourceNotFoundException", iot.describe_certificate(call(), certificate_id=which))
    assert (await iot.list_targets_for_policy(call(), policy_name="p"))["targets"] == []
    await refused(
        "InvalidRequestException", iot.update_certificate(call(), certificate_id=which, new_status="PENDING_TRANSFER")
    )


async def test_certificates_are_listed_by_age(iot: Iot, call: Caller, clock: Any, authority: Authority) -> None:
    made = []
    for _ in range(4):
        clock.now += 1
        pem = authority.issue_client("x").certificate.decode()
        made.append((await iot.register_certificate_without_ca(call(), certificate_pem=pem))["certificateId"])

    async def listed(**order: bool) -> list[str]:
        first = await iot.list_certificates(call(), page_size=3, **order)
        second = await iot.list_certificates(call(), page_size=3, marker=first["nextMarker"], **order)
        assert "nextMarker" not in second
        return [one["certificateId"] for one in first["certificates"] + second["certificates"]]

    assert await listed(ascending_order=True) == made
    assert await listed() == made[::-1]


# ------------------------------------------------------------------------------------ principals and policies


async def test_principals_are_found_from_either_side(iot: Iot, call: Caller) -> None:
    arn = (await iot.create_keys_and_certificate(call()))["certificateArn"]
    for name in ("a", "b"):
        await iot.create_thing(call(), thing_name=name)
        await iot.attach_thing_principal(call(), thing_name=name, principal=arn)
        await iot.attach_thing_principal(call(), thing_name=name, principal=arn)  # again changes nothing
    assert (await iot.list_principal_things(call(), principal=arn))["things"] == ["a", "b"]
    assert (await iot.list_thing_principals(call(), thing_name="a"))["principals"] == [arn]
    await refused("InvalidRequestException", iot.delete_thing(call(), thing_name="a"))
    await iot.detach_thing_principal(call(), thing_name="a", principal=arn)
    await iot.delete_thing(call(), thing_name="a")
    for principal in (ARN + "cert/" + "0" * 64, "us-east-1:cognito-identity"):
        with pytest.raises(ServiceError):
            await iot.attach_thing_principal(call(), thing_name="b", principal=principal)


async def test_a_policy_has_up_to_five_versions_and_one_default(iot: Iot, call: Caller) -> None:
    made = await iot.create_policy(call(), policy_name="p", policy_document=DOCUMENT)
    assert (made["policyVersionId"], made["policyArn"]) == ("1", ARN + "policy/p")
    await refused(
        "ResourceAlreadyExistsException", iot.create_policy(call(), policy_name="p", policy_document=DOCUMENT)
    )
    for number in range(2, 6):
        version = await iot.create_policy_version(
            call(), policy_name="p", policy_document=DOCUMENT, set_as_default=number == 3
        )
        assert version["policyVersionId"] == str(number)
    assert (await iot.get_policy(call(), policy_name="p"))["defaultVersionId"] == "3"
    await refused(
        "VersionsLimitExceededException",
        iot.create_policy_version(call(), policy_name="p", policy_document=DOCUMENT),
    )
    drop = iot.delete_policy_version
    await refused("DeleteConflictException", drop(call(), policy_name="p", policy_version_id="3"))
    await refused("DeleteConflictException", iot.delete_policy(call(), policy_name="p"))
    await iot.set_default_policy_version(call(), policy_name="p", policy_version_id="5")
    for number in ("1", "2", "3", "4"):
        await drop(call(), policy_name="p", policy_version_id=number)
    await refused("ResourceNotFoundException", iot.get_policy_version(call(), policy_name="p", policy_version_id="1"))
    assert [v["versionId"] for v in (await iot.list_policy_versions(call(), policy_name="p"))["policyVersions"]] == [
        "5"
    ]
    next_one = await iot.create_policy_version(call(), policy_name="p", policy_document=DOCUMENT)
    assert next_one["policyVersionId"] == "6"  # an id is never used again


async def test_policies_attach_to_certificates_and_no_more_than_ten(iot: Iot, call: Caller) -> None:
    arn = (await iot.create_keys_and_certificate(call()))["certificateArn"]
    for number in range(11):
        await iot.create_policy(call(), policy_name=f"p{number:02}", policy_document=DOCUMENT)
    for number in range(10):
        await iot.attach_policy(call(), policy_name=f"p{number:02}", target=arn)
    await refused("LimitExceededException", iot.attach_policy(call(), policy_name="p10", target=arn))
    page = await iot.list_attached_policies(call(), target=arn, page_size=9)
    rest = await iot.list_attached_policies(call(), target=arn, page_size=9, marker=page["nextMarker"])
    assert [one["policyName"] for one in page["policies"] + rest["policies"]] == [f"p{n:02}" for n in range(10)]
    await refused("DeleteConflictException", iot.delete_policy(call(), policy_name="p00"))
    await iot.detach_policy(call(), policy_name="p00", target=arn)
    await iot.delete_policy(call(), policy_name="p00")
    await refused("ResourceNotFoundException", iot.get_policy(call(), policy_name="p00"))
    await refused("ResourceNotFoundException", iot.attach_policy(call(), policy_name="p00", target=arn))
    group = ARN + "thinggroup/g"
    await refused("ResourceNotFoundException", iot.attach_policy(call(), policy_name="p01", target=group))
    identity = "us-east-1:cognito-identity"
    await refused("InvalidRequestException", iot.attach_policy(call(), policy_name="p01", target=identity))


@pytest.mark.parametrize("document", ["", "{}", '{"Version":"2012-10-17","Statement":[{"Effect":"Maybe"}]}'])
async def test_a_malformed_policy_is_refused(iot: Iot, call: Caller, document: str) -> None:
    await refused("MalformedPolicyException", iot.create_policy(call(), policy_name="p", policy_document=document))
    assert (await iot.list_policies(call()))["policies"] == []


# ----------------------------------------------------------------------------------------------- topic rules


async def test_a_rule_is_made_shown_replaced_and_deleted(iot: Iot, call: Caller) -> None:
    await iot.create_topic_rule(call(), rule_name="r", topic_rule_payload={**RULE, "description": "first"})
    await refused(
        "ResourceAlreadyExistsException", iot.create_topic_rule(call(), rule_name="r", topic_rule_payload=RULE)
    )
    shown = await iot.get_topic_rule(call(), rule_name="r")
    assert shown["ruleArn"] == ARN + "rule/r"
    assert shown["rule"]["actions"] == RULE["actions"]
    assert (shown["rule"]["ruleDisabled"], shown["rule"]["description"]) == (False, "first")
    assert shown["rule"]["awsIotSqlVersion"] == "2016-03-23"
    await iot.disable_topic_rule(call(), rule_name="r")
    assert (await iot.list_topic_rules(call(), rule_disabled=True))["rules"][0]["topicPattern"] == "a/+"
    await iot.enable_topic_rule(call(), rule_name="r")
    await iot.replace_topic_rule(call(), rule_name="r", topic_rule_payload={**RULE, "sql": "SELECT 1 AS x FROM 'b/#'"})
    assert [r["ruleName"] for r in (await iot.list_topic_rules(call(), topic="b/1"))["rules"]] == ["r"]
    for topic in ("a/1", "b"):  # AWS: "b/#" does not match its parent
        assert (await iot.list_topic_rules(call(), topic=topic))["rules"] == []
    await iot.delete_topic_rule(call(), rule_name="r")
    for operation in (iot.get_topic_rule, iot.delete_topic_rule, iot.enable_topic_rule):
        await refused("UnauthorizedException", operation(call(), rule_name="r"))


S3 = RULE["actions"][0]["s3"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sql": "SELECT FROM"}, "SqlParseException"),
        ({"sql": "SELECT nosuch() FROM 'a'"}, "SqlParseException"),
        ({"sql": "SELECT * FROM 'a/#/b'"}, "InvalidRequestException"),
        ({"sql": "SELECT * FROM 'a+'"}, "InvalidRequestException"),
        ({"sql": "SELECT * FROM '$aws/rules/r/x'"}, "InvalidRequestException"),
        ({"awsIotSqlVersion": "2015-10-08"}, "InvalidRequestException"),
        ({"actions": [{"dynamoDB": {}}]}, "InvalidRequestException"),
        ({"actions": [{}]}, "InvalidRequestException"),
        ({"actions": [{"s3": S3, "lambda": {"functionArn": "f"}}]}, "InvalidRequestException"),
        ({"actions": [{"s3": {**S3, "cannedAcl": "public-read"}}]}, "InvalidRequestException"),
        ({"actions": [{"s3": {**S3, "key": "${"}}]}, "InvalidRequestException"),
        ({"actions": [{"s3": {**S3, "key": "${nosuch()}"}}]}, "InvalidRequestException"),
        ({"actions": [{"s3": {"bucketName": "b", "key": "k"}}]}, "InvalidRequestException"),
        ({"actions": [{"republish": {"roleArn": "r", "topic": "$aws/x"}}]}, "InvalidRequestException"),
        ({"actions": [{"republish": {"roleArn": "r", "topic": "x", "qos": 2}}]}, "InvalidRequestException"),
        ({"actions": RULE["actions"] * 11}, "InvalidRequestException"),  # type: ignore[operator]
        ({"errorAction": {"sqs": {}}}, "InvalidRequestException"),
    ],
)
async def test_a_rule_that_cannot_be_honoured_is_refused(iot: Iot, call: Caller, change: Any, code: str) -> None:
    await refused(code, iot.create_topic_rule(call(), rule_name="r", topic_rule_payload={**RULE, **change}))
    assert (await iot.list_topic_rules(call()))["rules"] == []
    await iot.create_topic_rule(call(), rule_name="r", topic_rule_payload=RULE)
    await refused(code, iot.replace_topic_rule(call(), rule_name="r", topic_rule_payload={**RULE, **change}))
    assert (await iot.get_topic_rule(call(), rule_name="r"))["rule"]["sql"] == RULE["sql"]


async def test_the_endpoint_is_the_device_port(iot: Iot, call: Caller) -> None:
    for kind in ("iot:Data-ATS", "iot:Data", "iot:Jobs", "iot:CredentialProvider"):
        found = await iot.describe_endpoint(call(), endpoint_type=kind)
        assert found == {"endpointAddress": "127.0.0.1:8883"}
    await refused("InvalidRequestException", iot.describe_endpoint(call(), endpoint_type="iot:Nothing"))
