"""Domain configurations: names of one's own at the device port, by SNI; through boto3, paho-mqtt and HTTPS."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from littoral.net.pki import Authority
from littoral.store.embedded import EmbeddedStore
from littoral.things.domains import Domain, Domains
from tests.things.place import ARN, Device, Mqtt, Place, Visitor, allow, running
from tests.things.test_authorizers import Gate, create
from tests.things.test_control_boto3 import refused

HOST = "beds.example.test"


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def place(tmp_path: Path, gate: Gate) -> Iterator[Place]:
    with running(tmp_path) as place:
        place.sink.invoke = gate.invoke  # type: ignore[method-assign]
        yield place


class Named(ssl.SSLContext):
    """Says that name at the handshake, and verifies it, wherever the socket goes."""

    host: str

    def wrap_socket(self, sock: socket.socket, *arguments: Any, **more: Any) -> ssl.SSLSocket:
        return super().wrap_socket(sock, *arguments, **{**more, "server_hostname": self.host})


def named(place: Place, host: str = HOST) -> Named:
    context = Named(ssl.PROTOCOL_TLS_CLIENT)
    context.host = host
    context.load_verify_locations(cafile=str(place.ca))
    return context


@dataclass
class Bed(Device):
    """A device that comes by a domain of its own."""

    @property
    def tls(self) -> ssl.SSLContext:
        context = named(self.place)
        context.load_cert_chain(self.certificate, self.key)
        context.set_alpn_protocols(["x-amzn-mqtt-ca"])
        return context


class Guest(Visitor):
    @property
    def tls(self) -> ssl.SSLContext:
        return named(self.place)


def configure(place: Place, name: str = "beds", host: str = HOST, **more: Any) -> None:
    place.client("iot").create_domain_configuration(domainConfigurationName=name, domainName=host, **more)


def greeted(place: Place, context: ssl.SSLContext) -> ssl.SSLSocket:
    """After the handshake; in TLS 1.3 the server may have more to say."""
    return context.wrap_socket(socket.create_connection(("127.0.0.1", place.port), timeout=10))


def bed(place: Place, name: str = "bed1") -> Bed:
    made = place.device(name, allow("iot:*"))
    return Bed(place, name, made.certificate_id, made.arn, made.certificate, made.key)


def test_a_configuration_through_its_life(place: Place) -> None:
    iot = place.client("iot")
    made = iot.create_domain_configuration(
        domainConfigurationName="beds",
        domainName="Beds.Example.test",
        tlsConfig={"securityPolicy": "IoTSecurityPolicy_TLS13_1_2_2022_10"},
        tags=[{"Key": "ward", "Value": "7"}],
    )
    arn = f"{ARN}domainconfiguration/beds"
    assert (made["domainConfigurationName"], made["domainConfigurationArn"]) == ("beds", arn)
    assert iot.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "ward", "Value": "7"}]
    found = iot.describe_domain_configuration(domainConfigurationName="beds")
    assert (found["domainName"], found["domainType"], found["serviceType"]) == (HOST, "CUSTOMER_MANAGED", "DATA")
    assert (found["domainConfigurationStatus"], "authorizerConfig" in found) == ("ENABLED", False)
    own = iot.describe_domain_configuration(domainConfigurationName="iot:Data-ATS")
    assert (own["domainType"], own["domainName"]) == ("ENDPOINT", f"127.0.0.1:{place.port}")
    listed: list[str] = []
    more: dict[str, str] = {}
    while more is not None:
        page = iot.list_domain_configurations(pageSize=3, **more)
        listed += [each["domainConfigurationName"] for each in page["domainConfigurations"]]
        more = {"marker": page["nextMarker"]} if "nextMarker" in page else None  # type: ignore[assignment]
    assert listed == ["beds", "iot:CredentialProvider", "iot:Data-ATS", "iot:Jobs"]
    refused("InvalidRequestException", iot.delete_domain_configuration, domainConfigurationName="beds")
    iot.update_domain_configuration(domainConfigurationName="beds", domainConfigurationStatus="DISABLED")
    assert iot.describe_domain_configuration(domainConfigurationName="beds")["domainConfigurationStatus"] == "DISABLED"
    iot.delete_domain_configuration(domainConfigurationName="beds")
    for operation in ("describe", "update", "delete"):
        ask = getattr(iot, f"{operation}_domain_configuration")
        refused("ResourceNotFoundException", ask, domainConfigurationName="beds")


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("InvalidRequestException", {"domainName": "localhost"}),
        ("InvalidRequestException", {"domainName": "*.example.test"}),
        ("InvalidRequestException", {"serviceType": "JOBS"}),
        ("InvalidRequestException", {"tlsConfig": {"securityPolicy": "IoTSecurityPolicy_TLS12_1_0_2015_01"}}),
        ("InvalidRequestException", {"authenticationType": "CUSTOM_AUTH"}),
        ("InvalidRequestException", {"applicationProtocol": "HTTPS"}),
        ("NotImplemented", {"serverCertificateConfig": {"enableOCSPCheck": True}}),
        ("NotImplemented", {"clientCertificateConfig": {"clientCertificateCallbackArn": "x"}}),
        ("InvalidRequestException", {"authorizerConfig": {"defaultAuthorizerName": "nobody"}}),
        (
            "InvalidRequestException",
            {"authorizerConfig": {"defaultAuthorizerName": "nobody", "allowAuthorizerOverride": True}},
        ),
        (
            "CertificateValidationException",
            {"serverCertificateArns": [f"arn:aws:acm:us-east-1:000000000000:certificate/{'0' * 8}"]},
        ),
        ("ResourceAlreadyExistsException", {"domainName": "taken.example.test"}),
        ("ResourceAlreadyExistsException", {"domainConfigurationName": "taken"}),
    ],
)
def test_what_would_not_be_done_is_refused(place: Place, code: str, wrong: dict[str, Any]) -> None:
    iot = place.client("iot")
    configure(place, "taken", "taken.example.test")
    refused(code, iot.create_domain_configuration, **{"domainConfigurationName": "new", "domainName": HOST, **wrong})
    refused("ResourceNotFoundException", iot.describe_domain_configuration, domainConfigurationName="new")


def test_a_device_comes_by_the_name_and_sees_its_certificate(place: Place) -> None:
    configure(place)
    device = bed(place)
    with device.connect() as monitor:
        assert monitor.subscribe("orders") == [1]
        assert monitor.publish("orders", {"do": "rest"}) == 0
        assert monitor.next() == ("orders", {"do": "rest"})
    with greeted(place, device.tls) as connection:
        assert connection.selected_alpn_protocol() == "x-amzn-mqtt-ca"
        shown = connection.getpeercert()
        assert shown is not None and shown["subjectAltName"] == (("DNS", HOST),)
    with pytest.raises(ssl.SSLCertVerificationError):  # a name that is not configured gets the place's own
        greeted(place, named(place, "other.example.test"))
    place.client("iot").update_certificate(certificateId=device.certificate_id, newStatus="REVOKED")
    assert device.connect().connected.get(timeout=10) == 0x87


def test_a_certificate_that_is_registered_later_is_taken_there_too(place: Place, tmp_path: Path) -> None:
    """Also where the domain has been shown before: the authorities are those of now."""
    configure(place)
    with bed(place).connect():
        pass
    strange = Authority.load_or_create(tmp_path / "strange", "another factory").issue_client("bed9")
    iot = place.client("iot")
    iot.register_certificate_without_ca(certificatePem=strange.certificate.decode(), status="ACTIVE")
    arn = f"{ARN}cert/{strange.certificate_id}"
    iot.attach_policy(policyName="bed1-policy", target=arn)
    files = tmp_path / "bed9.crt", tmp_path / "bed9.key"
    files[1].touch(mode=0o600)
    files[0].write_bytes(strange.certificate)
    files[1].write_bytes(strange.private_key)
    with Bed(place, "bed9", strange.certificate_id, arn, *files).connect() as monitor:
        assert monitor.publish("x", {}) == 0


def test_the_operators_own_certificate_is_shown(place: Place) -> None:
    configure(place)
    folder = place.folder / "certificates"
    folder.mkdir()
    issued = place.authority.issue_server([HOST, "more.example.test"])
    (folder / f"{HOST}.crt").write_bytes(issued.certificate)
    (folder / f"{HOST}.key").write_bytes(issued.private_key)
    with greeted(place, bed(place).tls) as connection:
        found = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
    assert found.serial_number == x509.load_pem_x509_certificate(issued.certificate).serial_number
    assert found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)


def test_a_name_that_is_disabled_is_refused_in_the_handshake(place: Place) -> None:
    configure(place)
    iot, device = place.client("iot"), bed(place)
    with device.connect() as monitor:
        iot.update_domain_configuration(domainConfigurationName="beds", domainConfigurationStatus="DISABLED")
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            greeted(place, device.tls)
        assert monitor.publish("x", {}) == 0  # who is there stays
    iot.update_domain_configuration(domainConfigurationName="beds", domainConfigurationStatus="ENABLED")
    with device.connect():
        pass


def test_the_authorizer_of_the_name_decides(place: Place, gate: Gate) -> None:
    iot = place.client("iot")
    create(place)
    create(place, "other")
    config = {"defaultAuthorizerName": "gate", "allowAuthorizerOverride": False}
    configure(place, authorizerConfig=config)
    assert iot.describe_domain_configuration(domainConfigurationName="beds")["authorizerConfig"] == config
    guest = Guest(place, "somebody", "secret")
    with Mqtt(guest, "bed1") as monitor:
        assert monitor.subscribe("beds/bed1") == [1]
    event = gate.events.pop()
    assert event["protocolData"]["tls"] == {"serverName": HOST}
    assert Visitor(place, "somebody", "secret").refused("bed1") == 0x87  # by the place's own name there is no default
    assert gate.events == []
    other = Guest(place, "?x-amz-customauthorizer-name=other", "secret")
    with Mqtt(other, "bed1"):
        pass
    assert asked(place) == {"gate": 2}  # whatever the client names
    allowed = {"defaultAuthorizerName": "gate", "allowAuthorizerOverride": True}
    iot.update_domain_configuration(domainConfigurationName="beds", authorizerConfig=allowed)
    with Mqtt(other, "bed1"):
        pass
    assert asked(place) == {"gate": 2, "other": 1}
    iot.update_authorizer(authorizerName="gate", status="INACTIVE")
    refused("DeleteConflictException", iot.delete_authorizer, authorizerName="gate")
    iot.update_domain_configuration(domainConfigurationName="beds", removeAuthorizerConfig=True)
    iot.delete_authorizer(authorizerName="gate")
    assert guest.refused("bed1") == 0x87


def asked(place: Place) -> dict[str, int]:
    """How often each authorizer let somebody in."""
    return {name: count for (name, why), count in place.things.authorizers.results.items() if why == "ADMITTED"}


def test_https_publish_comes_by_the_name_too(place: Place, gate: Gate) -> None:
    create(place)
    configure(place, authorizerConfig={"defaultAuthorizerName": "gate", "allowAuthorizerOverride": False})
    gate.statements = [allow("iot:Publish", "topic/beds/x")]
    connection = http.client.HTTPSConnection("127.0.0.1", place.https_port, context=named(place), timeout=10)
    try:
        statuses = []
        for topic in ("beds/x", "beds/y"):
            connection.request("POST", f"/topics/{topic}?qos=1", b"{}", {"token": "t"})
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
    finally:
        connection.close()
    assert statuses == [200, 403]
    assert gate.events[0]["protocolData"]["tls"] == {"serverName": HOST}


async def test_a_configuration_outlives_a_restart(store: EmbeddedStore) -> None:
    before = Domains(store.records("things"))
    await before.open()
    for name, enabled in (("beds", True), ("old", False)):
        domain = Domain(name, f"{name}.example.test", 1.0, 2.0, enabled, "gate", override=True)
        await before.table.put(name, domain)
    after = Domains(store.records("things"))
    await after.open()
    assert list(after.table.values()) == list(before.table.values())
    assert after.serves("beds.example.test") and after.refuses("OLD.example.test")
    assert not after.serves("old.example.test") and not after.refuses("other.example.test")
