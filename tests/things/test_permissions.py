"""What a certificate may do follows its policies, its thing and its status, at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from littoral.aws.service import Call
from littoral.store.embedded import EmbeddedStore
from littoral.things.control import Iot
from littoral.things.names import Names
from littoral.things.permissions import Caller, Permissions
from tests.things.test_control import ARN, iot  # noqa: F401 - the fixture

CallOf = Callable[..., Call]


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str, resource: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


async def device(iot: Iot, call: CallOf, policy: str, **thing: Any) -> str:  # noqa: F811
    """A certificate with one policy, attached to the thing bed3; its id."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "bed3"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ward*")]
    )
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    made = await iot.create_certificate_from_csr(call(), certificate_signing_request=pem, set_as_active=True)
    await iot.create_thing(call(), thing_name="bed3", **thing)
    await iot.attach_thing_principal(call(), thing_name="bed3", principal=made["certificateArn"])
    await iot.create_policy(call(), policy_name="p", policy_document=policy)
    await iot.attach_policy(call(), policy_name="p", target=made["certificateArn"])
    return str(made["certificateId"])


@pytest.fixture
def permissions(iot: Iot, store: EmbeddedStore) -> Permissions:  # noqa: F811
    return Permissions(iot.registry, Names("us-east-1", "000000000000"))


def publishes(permissions: Permissions, certificate: str, topic: str, client: str | None = "bed3") -> bool:
    return permissions.allows(Caller(certificate, client, "127.0.0.1"), "iot:Publish", "topic", topic)


async def test_thing_variables_need_the_client_id_to_be_the_attached_thing(
    iot: Iot,  # noqa: F811
    call: CallOf,
    permissions: Permissions,
) -> None:
    policy = document(allow("iot:Publish", ARN + "topic/${iot:Connection.Thing.ThingName}/x"))
    certificate = await device(iot, call, policy)
    assert publishes(permissions, certificate, "bed3/x")
    assert not publishes(permissions, certificate, "bed4/x")
    assert not publishes(permissions, certificate, "bed4/x", client="bed4")
    assert not publishes(permissions, certificate, "bed3/x", client=None)  # HTTPS has no connection


async def test_attributes_type_and_subject_are_variables_and_wild_values_are_not(
    iot: Iot,  # noqa: F811
    call: CallOf,
    permissions: Permissions,
) -> None:
    await iot.create_thing_type(call(), thing_type_name="monitor")
    policy = document(
        allow("iot:Publish", ARN + "topic/a/${iot:Connection.Thing.Attributes[ward]}"),
        allow("iot:Publish", ARN + "topic/t/${iot:Connection.Thing.ThingTypeName}"),
        allow("iot:Publish", ARN + "topic/s/${iot:Certificate.Subject.CommonName}"),
        allow("iot:Publish", ARN + "topic/o/${iot:Certificate.Subject.Organization}"),
    )
    thing = {"thing_type_name": "monitor", "attribute_payload": {"attributes": {"ward": "7"}}}
    certificate = await device(iot, call, policy, **thing)
    for topic, allowed in (("a/7", True), ("a/8", False), ("t/monitor", True), ("s/bed3", True), ("o/Ward*", False)):
        assert publishes(permissions, certificate, topic) is allowed
    await iot.update_thing(call(), thing_name="bed3", attribute_payload={"attributes": {"ward": "8"}})
    assert publishes(permissions, certificate, "a/8") and not publishes(permissions, certificate, "a/7")


async def test_connect_attributes_are_conditions_of_connect(
    iot: Iot,  # noqa: F811
    call: CallOf,
    permissions: Permissions,
) -> None:
    only_last_will = {"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}}
    policy = document(allow("iot:Connect", ARN + "client/${iot:ClientId}", Condition=only_last_will))
    certificate = await device(iot, call, policy)
    caller = Caller(certificate, "bed3", "127.0.0.1")
    assert permissions.allows_connect(caller, ())
    assert permissions.allows_connect(caller, ("LastWill",))
    assert not permissions.allows_connect(caller, ("LastWill", "PersistentConnect"))


async def test_every_change_takes_effect_on_the_next_question(
    iot: Iot,  # noqa: F811
    call: CallOf,
    permissions: Permissions,
) -> None:
    certificate = await device(iot, call, document(allow("iot:Publish", ARN + "topic/x")))
    arn = ARN + "cert/" + certificate
    assert publishes(permissions, certificate, "x")
    await iot.create_policy_version(
        call(), policy_name="p", policy_document=document(allow("iot:Publish", ARN + "topic/y")), set_as_default=True
    )
    assert publishes(permissions, certificate, "y") and not publishes(permissions, certificate, "x")
    await iot.set_default_policy_version(call(), policy_name="p", policy_version_id="1")
    assert publishes(permissions, certificate, "x")
    await iot.detach_policy(call(), policy_name="p", target=arn)
    assert not publishes(permissions, certificate, "x")
    await iot.attach_policy(call(), policy_name="p", target=arn)
    assert publishes(permissions, certificate, "x")
    for status in ("INACTIVE", "REVOKED"):
        await iot.update_certificate(call(), certificate_id=certificate, new_status=status)
        assert not publishes(permissions, certificate, "x")
    await iot.update_certificate(call(), certificate_id=certificate, new_status="ACTIVE")
    assert publishes(permissions, certificate, "x")


async def test_an_unknown_certificate_may_do_nothing(permissions: Permissions) -> None:
    assert not publishes(permissions, "0" * 64, "x")
    assert not permissions.allows_connect(Caller("0" * 64, "a", "127.0.0.1"), ())


async def test_a_thing_that_a_certificate_belongs_to_exclusively_needs_no_client_id(
    iot: Iot,  # noqa: F811
    permissions: Permissions,
    call: CallOf,
) -> None:
    topic = ARN + "topic/ward/${iot:Connection.Thing.ThingName}"
    certificate = await device(iot, call, document(allow("iot:Publish", topic)))
    arn = ARN + f"cert/{certificate}"
    assert not publishes(permissions, certificate, "ward/bed3", client="any")
    await iot.attach_thing_principal(call(), thing_name="bed3", principal=arn, thing_principal_type="EXCLUSIVE_THING")
    permissions = Permissions(iot.registry, Names("us-east-1", "000000000000"))
    assert publishes(permissions, certificate, "ward/bed3", client="any")
    await iot.detach_thing_principal(call(), thing_name="bed3", principal=arn)
    assert not publishes(permissions, certificate, "ward/bed3")


async def test_a_provisioning_claim_runs_out(
    iot: Iot,  # noqa: F811
    permissions: Permissions,
    call: CallOf,
) -> None:
    body = '{"Resources": {"c": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": "x"}}}}'
    role = "arn:aws:iam::000000000000:role/r"
    await iot.create_provisioning_template(
        call(), template_name="beds", template_body=body, provisioning_role_arn=role, enabled=True
    )
    claim = (await iot.create_provisioning_claim(call(), template_name="beds"))["certificateId"]
    assert permissions.active(claim)
    assert publishes(permissions, claim, "$aws/certificates/create/json")
    assert publishes(permissions, claim, "$aws/provisioning-templates/beds/provision/json")
    for topic in ("$aws/provisioning-templates/other/provision/json", "ward/7"):
        assert not publishes(permissions, claim, topic)
    assert permissions.why_not(Caller(claim, "x", ""), "iot:Publish", "topic", "ward/7") == "IMPLICIT_DENY"
    await iot.provisioning.sweep()  # by its own clock, which is far ahead of the call's
    assert not permissions.active(claim)
    assert not publishes(permissions, claim, "$aws/certificates/create/json")
    assert permissions.why_not(Caller(claim, "x", ""), "iot:Publish", "topic", "ward/7") == "NOT_REGISTERED"
