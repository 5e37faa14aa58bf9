"""What a core says upward is what AWS IoT Core expects: a broker that knows nothing of it hears the topics that AWS's
device SDK makes, within the quotas of a client."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from awscrt import mqtt as crt
from awsiot import iotjobs, iotshadow

from littoral.core.link import Upstream
from littoral.net.listen import listen_stream
from littoral.net.pki import Authority
from littoral.protocols.mqtt.decode import Decoder
from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Ack, Connack, Connect, Publish, Suback, Subscribe
from tests.core.world import CORE, CorePlace, until

DEPLOYMENT = "AWSManagedGreengrassV2Deployment"
OF_JOBS = "namespace-aws-gg-deployment"  # of jobs that are Greengrass's: AWS's nucleus has it in its topics of jobs
HEALTH = f"$aws/things/{CORE}/greengrassv2/health/json"  # AWS's nucleus: FleetStatusService
SESSION = 7 * 24 * 3600  # seconds that AWS keeps a session at most
FILTERS, SLASHES, TOPIC, CLIENT_ID = 8, 7, 256, 128  # of one SUBSCRIBE, of a topic, bytes of a topic and of a client id


class OfSdk(crt.Connection):
    """A connection of AWS's SDK that goes nowhere and keeps the topics that the SDK makes."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    def subscribe(self, topic: str, qos: Any, callback: Any = None) -> tuple[Any, int]:
        return self._kept(topic)

    def publish(self, topic: str, payload: Any, qos: Any, retain: bool = False) -> tuple[Any, int]:
        return self._kept(topic)

    def _kept(self, topic: str) -> tuple[Any, int]:
        self.topics.append(topic)
        done: Future[Any] = Future()
        done.set_result({})
        return done, 1


def topics_of_the_sdk() -> set[str]:
    """Those that a core needs of shadows and jobs, as AWS's SDK makes them."""
    connection, qos = OfSdk(), crt.QoS.AT_LEAST_ONCE
    shadows, jobs = iotshadow.IotShadowClient(connection), iotjobs.IotJobsClient(connection)
    named = {"thing_name": CORE, "shadow_name": DEPLOYMENT}
    heard = lambda _event: None  # noqa: E731
    shadows.publish_get_named_shadow(iotshadow.GetNamedShadowRequest(**named), qos)
    shadows.publish_update_named_shadow(iotshadow.UpdateNamedShadowRequest(**named), qos)
    get = iotshadow.GetNamedShadowSubscriptionRequest(**named)
    shadows.subscribe_to_get_named_shadow_accepted(get, qos, heard)
    delta = iotshadow.NamedShadowDeltaUpdatedSubscriptionRequest(**named)
    shadows.subscribe_to_named_shadow_delta_updated_events(delta, qos, heard)
    next_ = iotjobs.DescribeJobExecutionRequest(thing_name=CORE, job_id="$next")
    jobs.publish_describe_job_execution(next_, qos)
    told = iotjobs.DescribeJobExecutionSubscriptionRequest(thing_name=CORE, job_id="$next")
    jobs.subscribe_to_describe_job_execution_accepted(told, qos, heard)
    return set(connection.topics)


@dataclass
class Heard:
    connects: list[Connect] = field(default_factory=list)
    subscribes: list[Subscribe] = field(default_factory=list)
    publishes: list[Publish] = field(default_factory=list)


class Above(asyncio.Protocol):
    """Says yes to everything."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._decoder = Decoder(5)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for packet in self._decoder.feed(data):
            if isinstance(packet, Connect):
                self._heard.connects.append(packet)
                self._say(Connack(0))
            elif isinstance(packet, Subscribe):
                self._heard.subscribes.append(packet)
                self._say(Suback(packet.packet_id, [each.qos for each in packet.filters]))
            elif isinstance(packet, Publish):
                self._heard.publishes.append(packet)
                if packet.qos:
                    self._say(Ack(4, packet.packet_id))

    def _say(self, packet: Any) -> None:
        self._transport.write(encode(packet, 5))


async def test_a_core_speaks_as_aws_s_sdk_and_within_aws_s_quotas(tmp_path: Path) -> None:
    heard = Heard()
    above = await listen_stream(lambda: Above(heard))
    authority = Authority.load_or_create(tmp_path / "ca", "nobody")
    issued = authority.issue_server(["localhost"])
    place = CorePlace(tmp_path / "core", 0, (issued.certificate, issued.private_key), authority.certificate_pem)
    place.upstream = Upstream("127.0.0.1", above.port)
    await place.start()
    of_sdk = {each.replace("$next/get", f"$next/{OF_JOBS}/get") for each in topics_of_the_sdk()}
    wanted = {*of_sdk, f"$aws/things/{CORE}/jobs/notify-{OF_JOBS}", "ward/1", HEALTH}  # the SDK knows no namespaces

    def topics() -> set[str]:
        filters = {each.filter for packet in heard.subscribes for each in packet.filters}
        return filters | {each.topic for each in heard.publishes}

    try:
        await place.core.spool.put("ward/1", b"7")
        await until(lambda: topics() >= wanted)
    finally:
        await place.stop()
        await above.close(0)
    assert topics() == wanted

    connect = heard.connects[0]
    assert (connect.client_id, connect.level, connect.clean) == (CORE, 5, False)
    assert connect.properties["session_expiry"] <= SESSION
    assert (connect.will, connect.username, connect.password) == (None, None, None)
    assert len(connect.client_id.encode()) <= CLIENT_ID
    assert max(len(packet.filters) for packet in heard.subscribes) <= FILTERS
    assert {each.qos for packet in heard.subscribes for each in packet.filters} == {1}
    assert {each.qos for each in heard.publishes} <= {0, 1}
    for topic in topics():
        assert len(topic.encode()) <= TOPIC
        assert topic.removeprefix("$aws/things/").count("/") <= SLASHES
