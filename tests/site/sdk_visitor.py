"""A device without a certificate with AWS's own SDK (awsiotsdk), in a process of its own: its native threads stay out.

    python sdk_visitor.py direct|websocket PORT CA CLIENT TOPIC CREDENTIALS

CREDENTIALS is JSON, the ``auth_…`` arguments of the SDK's builder. Prints one JSON line: what it heard of its own
publish, or the reason code of its refusal. Not a test itself; see test_authorizers.py.
"""

from __future__ import annotations

import json
import os
import queue
import sys
from typing import Any

from awscrt import mqtt5
from awsiot import mqtt5_client_builder as builder

WAIT = 20
WAYS = {"direct": builder.direct_with_custom_authorizer, "websocket": builder.websockets_with_custom_authorizer}


def main(way: str, port: str, ca: str, client_id: str, topic: str, credentials: str) -> None:
    outcome: queue.Queue[int] = queue.Queue()
    heard: queue.Queue[mqtt5.PublishReceivedData] = queue.Queue()
    client = WAYS[way](
        endpoint="localhost",
        port=int(port),
        ca_filepath=ca,
        client_id=client_id,
        on_lifecycle_connection_success=lambda data: outcome.put(data.connack_packet.reason_code),
        on_lifecycle_connection_failure=lambda data: outcome.put(
            data.connack_packet.reason_code if data.connack_packet else -1
        ),
        on_publish_received=heard.put,
        **json.loads(credentials),
    )
    client.start()
    seen: dict[str, Any] = {"reason": outcome.get(timeout=WAIT)}
    if not seen["reason"]:
        filters = [mqtt5.Subscription(topic, mqtt5.QoS.AT_LEAST_ONCE)]
        client.subscribe(mqtt5.SubscribePacket(filters)).result(WAIT)
        client.publish(mqtt5.PublishPacket(topic=topic, qos=mqtt5.QoS.AT_LEAST_ONCE, payload=b"here")).result(WAIT)
        seen["heard"] = heard.get(timeout=WAIT).publish_packet.payload.decode()
    print(json.dumps(seen), flush=True)
    os._exit(0)  # awscrt's own end may break its heap (malloc_consolidate); what is tested is over


if __name__ == "__main__":
    main(*sys.argv[1:])
