"""A device with AWS's own SDK (awsiotsdk), in a process of its own: its native threads stay out of the tests'.

    python sdk_device.py jobs HOST PORT CA CERTIFICATE KEY THING
    python sdk_device.py provision HOST PORT CA CERTIFICATE KEY CLIENT TEMPLATE
    python sdk_device.py shadow HOST PORT CA CERTIFICATE KEY THING NAME

Prints one JSON line with what it saw. Not a test itself; see test_sdk.py.
"""

from __future__ import annotations

import json
import os
import queue
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import awsiot
from awscrt import io, mqtt5, mqtt_request_response
from awsiot import iotidentity, iotjobs, iotshadow

WAIT = 20


class Connection:
    """An MQTT 5 client of the SDK, connected."""

    def __init__(self, host: str, port: str, ca: str, certificate: str, key: str, client_id: str) -> None:
        tls = io.TlsContextOptions.create_client_with_mtls_from_path(certificate, key)
        tls.override_default_trust_store_from_path(None, ca)
        connected: Future[None] = Future()
        options = mqtt5.ClientOptions(
            host_name=host,
            port=int(port),
            tls_ctx=io.ClientTlsContext(tls),
            connect_options=mqtt5.ConnectPacket(client_id=client_id, keep_alive_interval_sec=60),
            on_lifecycle_event_connection_success_fn=lambda _: connected.set_result(None),
            on_lifecycle_event_connection_failure_fn=lambda data: (
                connected.done() or connected.set_exception(RuntimeError(str(data.exception)))
            ),
        )
        self.client = mqtt5.Client(options)
        self.client.start()
        connected.result(WAIT)

    @property
    def options(self) -> mqtt_request_response.ClientOptions:
        return mqtt_request_response.ClientOptions(3, 3, WAIT)


def jobs(connection: Connection, thing: str) -> dict[str, Any]:
    """Wait for the next job, do it in two steps, and see that nothing is left."""
    client = iotjobs.IotJobsClientV2(connection.client, connection.options)
    told: queue.Queue[iotjobs.NextJobExecutionChangedEvent] = queue.Queue()
    stream = client.create_next_job_execution_changed_stream(
        iotjobs.NextJobExecutionChangedSubscriptionRequest(thing_name=thing),
        awsiot.ServiceStreamOptions(incoming_event_listener=told.put),
    )
    stream.open()
    pending = client.get_pending_job_executions(iotjobs.GetPendingJobExecutionsRequest(thing_name=thing)).result(WAIT)
    begun = client.start_next_pending_job_execution(
        iotjobs.StartNextPendingJobExecutionRequest(thing_name=thing)
    ).result(WAIT)
    execution = begun.execution
    try:
        stale = iotjobs.UpdateJobExecutionRequest(
            thing_name=thing, job_id=execution.job_id, status=iotjobs.JobStatus.IN_PROGRESS, expected_version=1
        )
        client.update_job_execution(stale).result(WAIT)
        refused = None
    except awsiot.V2ServiceException as problem:
        refused = problem.modeled_error.code
    client.update_job_execution(
        iotjobs.UpdateJobExecutionRequest(
            thing_name=thing,
            job_id=execution.job_id,
            status=iotjobs.JobStatus.SUCCEEDED,
            expected_version=execution.version_number,
            status_details={"progress": "100"},
        )
    ).result(WAIT)
    after = told.get(timeout=WAIT)
    return {
        "queued": [one.job_id for one in pending.queued_jobs],
        "job": execution.job_id,
        "document": execution.job_document,
        "started": execution.started_at is not None,
        "refused": refused,
        "next": after.execution.job_id if after.execution and after.execution.job_id else None,
    }


def provision(connection: Connection, client_id: str, template: str) -> dict[str, Any]:
    """A certificate of its own, and the template with it."""
    client = iotidentity.IotIdentityClientV2(connection.client, connection.options)
    made = client.create_keys_and_certificate(iotidentity.CreateKeysAndCertificateRequest()).result(WAIT)
    try:
        wrong = iotidentity.RegisterThingRequest(
            template_name=template, certificate_ownership_token="wrong", parameters={"SerialNumber": client_id}
        )
        client.register_thing(wrong).result(WAIT)
        refused = None
    except awsiot.V2ServiceException as problem:
        refused = problem.modeled_error.error_code
    answer = client.register_thing(
        iotidentity.RegisterThingRequest(
            template_name=template,
            certificate_ownership_token=made.certificate_ownership_token,
            parameters={"SerialNumber": client_id},
        )
    ).result(WAIT)
    return {
        "thing": answer.thing_name,
        "configuration": answer.device_configuration,
        "refused": refused,
        "key": made.private_key.splitlines()[0],
    }


def shadow(connection: Connection, thing: str, name: str) -> dict[str, Any]:
    """A named shadow: an update, its delta as it is told, a conflict, a get, a delete."""
    client = iotshadow.IotShadowClientV2(connection.client, connection.options)
    told: queue.Queue[iotshadow.ShadowDeltaUpdatedEvent] = queue.Queue()
    stream = client.create_named_shadow_delta_updated_stream(
        iotshadow.NamedShadowDeltaUpdatedSubscriptionRequest(thing_name=thing, shadow_name=name),
        awsiot.ServiceStreamOptions(incoming_event_listener=told.put),
    )
    stream.open()
    state = iotshadow.ShadowState(desired={"rate": 5}, reported={"rate": 4})
    update = iotshadow.UpdateNamedShadowRequest(thing_name=thing, shadow_name=name, state=state)
    first = client.update_named_shadow(update).result(WAIT)
    delta = told.get(timeout=WAIT)
    try:
        stale = iotshadow.UpdateNamedShadowRequest(thing_name=thing, shadow_name=name, state=state, version=7)
        client.update_named_shadow(stale).result(WAIT)
        refused = None
    except awsiot.V2ServiceException as problem:
        refused = problem.modeled_error.code
    found = client.get_named_shadow(iotshadow.GetNamedShadowRequest(thing_name=thing, shadow_name=name)).result(WAIT)
    gone = client.delete_named_shadow(iotshadow.DeleteNamedShadowRequest(thing_name=thing, shadow_name=name)).result(
        WAIT
    )
    return {
        "version": first.version,
        "delta": delta.state,
        "refused": refused,
        "desired": found.state.desired,
        "timed": "timestamp" in found.metadata.reported["rate"],
        "deleted": gone.version,
    }


def main(kind: str, host: str, port: str, ca: str, certificate: str, key: str, *rest: str) -> None:
    connection = Connection(host, port, ca, certificate, key, rest[0])
    seen = {"jobs": jobs, "provision": provision, "shadow": shadow}[kind](connection, *rest)
    print(json.dumps(seen), flush=True)
    os._exit(0)  # awscrt's own end may break its heap (malloc_consolidate); what is tested is over


if __name__ == "__main__":
    assert Path(sys.argv[4]).is_file()
    main(*sys.argv[1:])
