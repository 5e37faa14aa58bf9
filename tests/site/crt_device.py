"""AWS's device SDK at work, in a process of its own: its native threads stay out of the tests'.

    python crt_device.py tls|alpn|websocket|headers|wss PORT CA CERTIFICATE KEY ACCESS_KEY SECRET_KEY [SESSION_TOKEN]

``websocket`` signs in the query, as the SDK's builder does; ``headers`` in the headers; ``wss`` in the query, over TLS
and without a certificate.

Prints one JSON line with what it saw. Not a test itself; see test_mqtt_clients.py.
"""

from __future__ import annotations

import http.client
import json
import os
import queue
import ssl
import sys
from concurrent.futures import Future
from typing import Any

import boto3
from awscrt import auth, io, mqtt5
from awscrt.http import HttpRequest

WAY, PORT, CA, CERTIFICATE, KEY, ACCESS_KEY, SECRET_KEY, *TOKEN = sys.argv[1:]
TYPES = {
    "websocket": auth.AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS,
    "headers": auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
    "wss": auth.AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS,
}
WAIT = 20


def way_in() -> dict[str, Any]:
    """What the client's options say of how it gets there."""
    if WAY == "wss":
        secure = io.TlsContextOptions()
        secure.override_default_trust_store_from_path(None, CA)
        way = {"host_name": "localhost", "tls_ctx": io.ClientTlsContext(secure)}
        return {**way, "websocket_handshake_transform": signed}
    if WAY in TYPES:
        return {"host_name": "127.0.0.1", "websocket_handshake_transform": signed}
    tls = io.TlsContextOptions.create_client_with_mtls_from_path(CERTIFICATE, KEY)
    tls.override_default_trust_store_from_path(None, CA)
    tls.alpn_list = ["x-amzn-mqtt-ca"] if WAY == "alpn" else None
    return {"host_name": "localhost", "tls_ctx": io.ClientTlsContext(tls)}


def signed(transform_args: mqtt5.WebsocketHandshakeTransformArgs) -> None:
    """As the SDK's builder does: a session token is added to what was signed."""
    config = auth.AwsSigningConfig(
        algorithm=auth.AwsSigningAlgorithm.V4,
        signature_type=TYPES[WAY],
        credentials_provider=auth.AwsCredentialsProvider.new_static(ACCESS_KEY, SECRET_KEY, *TOKEN),
        region="us-east-1",
        service="iotdevicegateway",
        omit_session_token=True,
    )

    def done(future: Future[HttpRequest]) -> None:
        transform_args.set_done(future.exception())

    auth.aws_sign_request(transform_args.http_request, config).add_done_callback(done)


class Client:
    def __init__(self, name: str, **connect: Any) -> None:
        self.got: queue.Queue[mqtt5.PublishPacket] = queue.Queue()
        connected: Future[mqtt5.ConnackPacket] = Future()
        self.stopped: Future[None] = Future()
        options = mqtt5.ClientOptions(
            port=int(PORT),
            connect_options=mqtt5.ConnectPacket(client_id=name, keep_alive_interval_sec=60, **connect),
            session_behavior=mqtt5.ClientSessionBehaviorType.REJOIN_ALWAYS,
            on_publish_callback_fn=lambda data: self.got.put(data.publish_packet),
            on_lifecycle_event_connection_success_fn=lambda data: connected.set_result(data.connack_packet),
            on_lifecycle_event_connection_failure_fn=lambda data: (
                connected.done() or connected.set_exception(RuntimeError(str(data.exception)))
            ),
            on_lifecycle_event_stopped_fn=lambda _: self.stopped.set_result(None),
            **way_in(),
        )
        self.client = mqtt5.Client(options)
        self.client.start()
        self.connack = connected.result(WAIT)

    def subscribe(self, text: str) -> list[int]:
        subscription = mqtt5.Subscription(topic_filter=text, qos=mqtt5.QoS.AT_LEAST_ONCE)
        answer = self.client.subscribe(mqtt5.SubscribePacket(subscriptions=[subscription])).result(WAIT)
        return [int(code) for code in answer.reason_codes]

    def publish(self, topic: str, payload: str, **more: Any) -> int:
        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE, **more)
        return int(self.client.publish(packet).result(WAIT).puback.reason_code)

    def next(self) -> mqtt5.PublishPacket:
        return self.got.get(timeout=WAIT)

    def stop(self, packet: mqtt5.DisconnectPacket | None = None) -> None:
        self.client.stop(packet or mqtt5.DisconnectPacket())
        self.stopped.result(WAIT)


def conversation() -> dict[str, Any]:
    bed = Client("bed")
    seen: dict[str, Any] = {
        "maximum_qos": int(bed.connack.maximum_qos),
        "keep_alive": bed.connack.server_keep_alive or 60,
        "identifiers": bed.connack.subscription_identifiers_available,
        "granted": bed.subscribe("bed/crt"),
    }
    seen["reason"] = bed.publish(
        "bed/crt",
        "v",
        content_type="a/b",
        response_topic="bed/answer",
        correlation_data=b"abc",
        message_expiry_interval_sec=600,
        user_properties=[mqtt5.UserProperty("ward", "7")],
    )
    told = bed.next()
    seen |= {"payload": told.payload.decode(), "qos": int(told.qos), "content_type": told.content_type}
    seen |= {"response_topic": told.response_topic, "correlation": told.correlation_data}
    seen["user"] = [[each.name, each.value] for each in told.user_properties]
    seen["expires"] = 0 < told.message_expiry_interval_sec <= 600
    bed.stop()
    return seen | away() | will()


def away() -> dict[str, Any]:
    first = Client("bed", session_expiry_interval_sec=60)
    first.subscribe("bed/away")
    first.stop()
    publish_by_http("bed/away", "while away")
    second = Client("bed", session_expiry_interval_sec=60)
    waited = second.next().payload.decode()
    second.stop(mqtt5.DisconnectPacket(session_expiry_interval_sec=0))
    return {"waited": [waited], "present": [first.connack.session_present, second.connack.session_present]}


def will() -> dict[str, Any]:
    last = mqtt5.PublishPacket(topic="bed/will", payload="gone", qos=mqtt5.QoS.AT_LEAST_ONCE, retain=True)
    dying = Client("bed", will=last)
    dying.stop(mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.DISCONNECT_WITH_WILL_MESSAGE))
    heir = Client("bed")
    heir.subscribe("bed/will")
    payload = heir.next().payload.decode()
    heir.publish("bed/will", "", retain=True)
    heir.stop()
    return {"will": payload}


def publish_by_http(topic: str, payload: str) -> None:
    """By the certificate, on the device port where that is known; else signed, on the API's."""
    if WAY in TYPES:
        client = boto3.client(
            "iot-data",
            endpoint_url=f"https://localhost:{PORT}" if WAY == "wss" else f"http://127.0.0.1:{PORT}",
            verify=CA,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            aws_session_token=TOKEN[0] if TOKEN else None,
        )
        client.publish(topic=topic, qos=1, payload=payload.encode())
        return
    context = ssl.create_default_context(cafile=CA)
    context.load_cert_chain(CERTIFICATE, KEY)
    connection = http.client.HTTPSConnection("localhost", int(PORT), context=context, timeout=WAIT)
    connection.request("POST", f"/topics/{topic.replace('/', '%2F')}?qos=1", payload)
    assert connection.getresponse().status == 200
    connection.close()


if __name__ == "__main__":
    print(json.dumps(conversation()), flush=True)
    os._exit(0)  # its threads need not be waited for
